-- serves: 0.1.0 to *
-- What pg_stat_statements counted, as differences: the counters as they were last read, and one row for each time between two readings.

-- The last reading of a target; whoever reads next goes on from here, and only from here.
create table statement_readings (
  target      text primary key,
  at          timestamptz not null,                -- by the ledger's clock, to the millisecond
  stats_reset timestamptz,
  dealloc     bigint not null                      -- how often it has thrown entries out, since its reset
);

-- Counters since their last reset. An update touches no index, so it stays on its page.
create table statements (
  id         int generated always as identity primary key,
  target     text not null,
  queryid    bigint not null,
  toplevel   boolean not null,
  userid     oid not null,
  dbid       oid not null,
  role       text not null,                        -- its name at the first sight
  moved_at   timestamptz not null,
  calls      bigint not null,                      -- 0: it is not there any more
  total_ms   double precision not null,
  max_ms     double precision not null,            -- since the reset; no difference can be taken of it
  rows       bigint not null,
  hit        bigint not null,                      -- blocks of shared buffers
  read       bigint not null,
  dirtied    bigint not null,
  temp       bigint not null,                      -- blocks, read and written
  wal        bigint not null,                      -- bytes
  unique (target, queryid, toplevel, userid, dbid)
) with (fillfactor = 70);

-- Normalised, its literals taken out, cut.
create table statement_texts (
  target  text not null,
  queryid bigint not null,
  text    text not null,
  primary key (target, queryid)
);

-- One row for the time between two readings, with a column of numbers for each counter: the nth of each belongs to the nth of `statements`. That is a tenth of what a row for each
-- statement takes, has no index to keep, and goes as one when it is old.
create table statement_windows (
  target     text not null,
  since      timestamptz not null,
  until      timestamptz not null,
  missing    text[] not null,                      -- why it is incomplete; empty: it is complete
  statements int[] not null,
  calls      bigint[] not null,
  total_ms   double precision[] not null,
  rows       bigint[] not null,
  hit        bigint[] not null,
  read       bigint[] not null,
  dirtied    bigint[] not null,
  temp       bigint[] not null,
  wal        bigint[] not null,
  primary key (target, until)
);
create index statement_windows_by_age on statement_windows (until);

alter table schedules add column planned_at timestamptz not null default now(); -- since when it is known; what never succeeded is as old as that
