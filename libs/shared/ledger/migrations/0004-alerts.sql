-- serves: 0.1.0 to *
-- Alerts, their episodes, what was decided about each, and every notification on its way to a channel.

-- One row for each thing that can be wrong, never for a run. Its row lock puts failures and successes of one operation in a row.
create table alerts (
  fingerprint     text primary key,                -- rule, environment, subject, operation
  name            text not null,                   -- the rule: the event that opens it
  environment     text not null,
  engine          text,                            -- null: an affair of our own
  target          text,
  operation       text not null,
  episodes        int not null default 0,
  last_success_at timestamptz                      -- by the event's time: a failure from before opens nothing
);
create index alerts_of_target on alerts (environment, engine, target, name);

-- From open to resolved.
create table episodes (
  id          uuid primary key,
  fingerprint text not null references alerts (fingerprint),
  n           int not null,                        -- counted per alert, from 1
  state       text not null check (state in ('firing', 'resolved')),
  severity    text not null,
  since       timestamptz not null,                -- of the first failure
  last_at     timestamptz not null,                -- of the newest failure
  resolved_at timestamptz,
  failures    int not null default 1,
  event       jsonb not null,                      -- the newest failure, whole
  resolved_by jsonb,                               -- the success, whole; null: a person ended it
  ended_by    text,                                -- that person
  look_at     timestamptz,                         -- when the relay looks at it again: repeats, what was held back, an end by hand; null: never
  unique (fingerprint, n)
);
create unique index episodes_firing on episodes (fingerprint) where state = 'firing';
create index episodes_to_look_at on episodes (look_at) where look_at is not null;
create index episodes_severities on episodes (severity) where state = 'firing';
create index episodes_newest on episodes (since desc, id desc);
create index episodes_resolved on episodes (resolved_at) where state = 'resolved';

-- Why there was a notification, or why there was none.
create table decisions (
  n           bigint generated always as identity primary key,
  at          timestamptz not null,
  fingerprint text not null,
  episode     uuid,
  channel     text,                                -- null: decided before any channel
  event       uuid,                                -- null: the relay looked again by itself
  reason      text not null
);
create index decisions_by_event on decisions (event) where event is not null;
create index decisions_of_alert on decisions (fingerprint, n);
create index decisions_at on decisions (at);

-- Written before the send and closed after it. The key goes with every attempt: the receiver's way from at least once to once.
create table deliveries (
  key        text primary key,                     -- episode:channel:state:nth
  n          bigint generated always as identity unique,
  episode    uuid not null references episodes (id) on delete cascade,
  channel    text not null,
  state      text not null check (state in ('firing', 'resolved')),
  nth        int not null,                         -- 0: the first; then repeats
  status     text not null check (status in ('pending', 'delivered', 'failed')),
  attempts   int not null default 0,
  created_at timestamptz not null,
  at         timestamptz not null,                 -- of the last change of status or attempt
  next_at    timestamptz not null,
  payload    json not null,                        -- the body: not jsonb, which would turn its keys about
  last_error jsonb
);
create index deliveries_due on deliveries (channel, next_at) where status = 'pending';
create index deliveries_pending_of_episode on deliveries (episode, channel, n) where status = 'pending';
create index deliveries_of_episode on deliveries (episode, channel, n);
create index deliveries_rate on deliveries (channel, created_at) where state = 'firing';
create index deliveries_stale on deliveries (created_at) where status = 'pending';
