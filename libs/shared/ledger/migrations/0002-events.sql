-- serves: 0.1.0 to *
-- Facts on their way to the stream, what readers have done with them, and how far they are.

create table outbox (
  n            bigint generated always as identity primary key,
  id           uuid not null unique,
  event        text not null,
  ce           jsonb not null,
  created_at   timestamptz not null default now(),
  batch        uuid,                               -- written ahead under this token, not yet known to be in the stream
  ord          bigint unique,                      -- its place in the order of publication; null: not published
  published_at timestamptz
);
create index outbox_due on outbox (n) where ord is null;
create index outbox_batch on outbox (batch) where batch is not null;
create index outbox_created on outbox (created_at);

-- The stream's mark equals `standing`, or `ahead` when the reply to the last batch was lost. Anything else: the stream is not what we wrote.
create table publisher (
  one      boolean primary key default true check (one),
  standing uuid not null,
  ahead    uuid,
  next_ord bigint not null default 1
);
insert into publisher (standing) values (gen_random_uuid());

-- How far each registered reader is, as the order of the last row before its lowest unacknowledged entry.
create table positions (
  reader    text primary key,
  ord       bigint not null,
  copied_at timestamptz not null default now()
);

create table inbox (
  consumer text not null,
  event    uuid not null,
  at       timestamptz not null default now(),
  primary key (consumer, event)
);
create index inbox_at on inbox (at);

-- Failures of a reader's handler, per entry; ten make a dead letter.
create table inbox_failures (
  consumer text not null,
  entry    text not null,
  failures int not null default 0,
  error    jsonb,
  at       timestamptz not null default now(),
  primary key (consumer, entry)
);
