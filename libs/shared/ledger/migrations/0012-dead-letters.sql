-- serves: 0.1.0 to *
-- Entries of dbops:events that a reader of ours set aside: the list in Redis goes with Redis, this one stays until somebody has looked at it.
create table dead_letters (
  id          uuid primary key,
  reader      text not null,                       -- the consumer group
  entry       text not null,                       -- its id in the stream
  reason      text not null,
  event       uuid,                                -- of the event, where it is one that can be handled again
  ce          text not null,                       -- as it came; cut where it is no event
  at          timestamptz not null default now(),
  replayed_at timestamptz,
  replayed_by text,
  unique (reader, entry)
);
create index dead_letters_newest on dead_letters (at desc);
create index dead_letters_by_tail on dead_letters (right(id::text, 8));
