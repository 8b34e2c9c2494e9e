-- serves: 0.1.0 to *
-- What is wrong with a target and a person may mend: one row for each fault, from its first sighting on, however often it comes back.

create table findings (
  id              uuid primary key,
  target          text not null,
  source          text not null,                   -- the probe or task that finds it
  key             text not null,                   -- which of its faults
  level           text not null,
  what            text not null,
  hint            text,
  sql             text,                            -- what would mend it; nobody runs it by itself
  evidence        jsonb,
  tells           jsonb,                           -- { opened, gone }: events in place of finding_opened and finding_gone
  state           text not null check (state in ('open', 'acknowledged', 'gone', 'back')),
  first_seen      timestamptz not null default now(),
  since           timestamptz not null default now(),  -- of this time: it was gone before
  seen_at         timestamptz not null default now(),
  gone_at         timestamptz,
  times           int not null default 1,
  acknowledged_by text,
  acknowledged_at timestamptz,
  note            text,
  unique (target, source, key)
);
create index findings_newest on findings (since desc);
create index findings_standing on findings (target, source) where state <> 'gone';
create index findings_by_tail on findings (right(id::text, 8));

-- Backups that a run works on: none of them is deleted while it is unfinished.
create table artifact_holds (
  artifact uuid not null,
  run      uuid not null references runs (id),
  at       timestamptz not null default now(),
  primary key (artifact, run)
);

alter table probes add column told boolean not null default false; -- whether the failure was told as an event
