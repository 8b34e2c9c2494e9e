-- serves: 0.1.0 to *
-- Runs that wait for their event to settle, and how far the platform's own streams have been read.

-- A schedule that runs for an event: from the first event on, what has come until its run is born. One row, however many events.
create table triggers (
  schedule       text not null,
  target         text not null default '',         -- as in schedules
  event          text not null,
  first_event_at timestamptz not null,
  fire_at        timestamptz not null,             -- first event + debounce: the slot of its run; moved to the opening of a closed window
  events         bigint not null default 1,
  last_event     uuid not null,
  primary key (schedule, target)
);
create index triggers_due on triggers (fire_at);
create index schedules_by_event on schedules ((spec ->> 'event')) where enabled;

-- One row for each entry of `ingest:`. The group in the platform's Redis is made again from here when it is gone.
create table ingest_positions (
  name     text primary key,
  target   text not null,
  stream   text not null,
  position text not null,                          -- no entry up to this one is unacknowledged
  moved_at timestamptz not null default now()
);

-- Entries that are no events, for a person to look at: the newest thousand of each ingest.
create table ingest_dead_letters (
  n       bigint generated always as identity primary key,
  name    text not null,
  entry   text not null,                           -- its id in the stream
  kind    text not null,
  reason  text not null,
  excerpt text not null,                           -- its first 500 characters, redacted
  at      timestamptz not null default now(),
  unique (name, entry)
);
create index ingest_dead_letters_newest on ingest_dead_letters (name, n desc);
