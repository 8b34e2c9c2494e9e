-- serves: 0.1.0 to *
-- What is left of runs that ended long ago: how many there were, of which kind, how they ended, and how long they took.
create table run_summaries (
  day        date not null,                        -- of the slot, where there was one, else of the wish; in UTC
  task       text not null,
  target     text not null,                        -- '' where the task works on no target
  operation  text not null,
  schedule   text not null,                        -- '' where nobody but a person or an event asked
  mode       text not null,
  state      text not null,
  runs       bigint not null,
  slots      bigint not null,                      -- planned ones that these runs ended: the proof for a period stays whole
  attempts   bigint not null,
  busy_ms    bigint not null,                      -- from the first attempt to the end, of all together
  longest_ms bigint not null,
  primary key (day, task, target, operation, schedule, mode, state)
);

-- The store is the truth: a backup is listed also when its run is not known here, as after a restore of the ledger from an older copy.
alter table artifacts drop constraint artifacts_run_fkey;
