-- serves: 0.1.0 to *
-- Runs, the locks they want and hold, the schedules they come from, and who works on them.

create table installation (
  id         text primary key,                     -- 8 hex digits: the <installation> in application_name
  created_at timestamptz not null default now()
);
insert into installation (id) values (substr(md5(random()::text || clock_timestamp()::text), 1, 8));

-- What is looked after: names and sizes only. Addresses and secrets stay in the configuration of the maintainer that owns them.
create table targets (
  name       text primary key,
  engine     text not null,
  heavy      int not null,                         -- runs at a time, per lane
  light      int not null,
  labels     jsonb not null default '{}',
  enabled    boolean not null default true
);

create table configs (
  generation bigint generated always as identity primary key,
  hash       text not null,
  first_seen timestamptz not null default now()
);
create index configs_by_hash on configs (hash, generation desc);

create table schedules (
  name      text not null,
  target    text not null default '',              -- '' where the task works on no target
  task      text not null,
  spec      jsonb not null,                        -- cron, zone, params, entries, misfire …: all that a birth needs
  spec_hash text not null,
  enabled   boolean not null default true,
  due_at    timestamptz,                           -- the next slot to materialise
  primary key (name, target)
);
create index schedules_due on schedules (due_at) where enabled;

create table pauses (
  id         uuid primary key,
  scope      text not null check (scope in ('all', 'schedule', 'target', 'task')),
  name       text,                                 -- null for scope all
  until      timestamptz not null,
  actor      text not null,
  created_at timestamptz not null default now(),
  lifted_at  timestamptz
);
create index pauses_standing on pauses (until) where lifted_at is null;

create table runs (
  id             uuid primary key,
  task           text not null,
  engine         text not null,
  lane           text not null,
  target         text,                             -- null: works on no live target
  mode           text not null check (mode in ('do', 'plan', 'recover')),
  state          text not null check (state in ('awaiting_approval', 'queued', 'running', 'parked', 'succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped')),
  cause          jsonb not null,                   -- { kind: schedule | command | retry | recover, … }
  actor          text not null,
  parent         uuid references runs (id),        -- of a retry and of a recovery
  schedule       text,
  slot           timestamptz,
  slot_to        timestamptz,                      -- skipped: the last slot of the range, and how many there are
  slots          int not null default 1,
  operation      text not null,                    -- e.g. pg.dump:metadata: with environment, engine and target the identity of an alert
  spec           jsonb not null default '{}',      -- params and the config entries they name; how it is to be run
  priority       int not null default 5,
  queued_at      timestamptz not null default now(),
  not_before     timestamptz not null default now(),
  start_by       timestamptz,                      -- of a slot: past this, unclaimed, it is skipped
  valid_until    timestamptz not null,             -- the deadline
  started_at     timestamptz,                      -- of the first attempt
  finished_at    timestamptz,
  dispatch       int not null default 0,           -- counted up at every return to the queue
  dispatched_at  timestamptz,
  offered_at     timestamptz,                      -- when its job was last put into Redis
  waiting_for    text,
  waiting_since  timestamptz,
  attempt        int not null default 0,
  attempts       int not null,
  losses         int not null default 0,           -- attempts that went with their process
  retry          text not null,
  backoff_ms     bigint not null,
  timeout_ms     bigint not null,
  recovers       boolean not null default false,
  verdict        jsonb,                            -- { state, error }: what becomes of it once the recovery of its lost attempt is done
  fence          bigint,
  worker         text,
  delivery       uuid,                             -- of the claim: a repeated call of the same delivery gets the same answer
  attempt_at     timestamptz,
  lease_until    timestamptz,
  guarded        boolean not null default false,   -- this attempt has passed a guard: the world may have changed
  cancel_asked   timestamptz,
  cancel_actor   text,
  state_kept     jsonb,                            -- what the task saved to go on from
  progress       jsonb,
  plan           jsonb,
  policy         jsonb,
  result         jsonb,
  evidence       jsonb,
  error          jsonb
);
-- A slot is born once, however many schedulers see it fall due.
create unique index runs_slot on runs (schedule, coalesce(target, ''), slot) where slot is not null;
create index runs_waiting on runs (engine, lane, priority desc, queued_at, id) where state = 'queued' and dispatched_at is null;
create index runs_offered on runs (offered_at) where state = 'queued' and dispatched_at is not null;
create index runs_leased on runs (lease_until) where state = 'running';
create unique index runs_fence on runs (fence) where fence is not null;
create index runs_busy on runs (target, lane) where state = 'running' or (state = 'queued' and dispatched_at is not null); -- what counts against the caps: never many
create index runs_active on runs (target, lane) where state in ('queued', 'running', 'parked');
create index runs_unfinished on runs (valid_until) where state in ('queued', 'parked', 'awaiting_approval');
create index runs_start_by on runs (start_by) where state = 'queued' and start_by is not null and fence is null;
create index runs_parked on runs (not_before) where state = 'parked';
create index runs_unfinished_of_schedule on runs (schedule, target) where state in ('awaiting_approval', 'queued', 'running', 'parked');
create index runs_newest on runs (id desc);
create index runs_by_tail on runs (right(id::text, 8)); -- ids are shown by their last 8 characters
create index runs_by_state on runs (state, id desc);
create index runs_by_task on runs (task, id desc);
create index runs_by_target on runs (target, id desc);
create index runs_children on runs (parent) where parent is not null;
create index runs_operation on runs (operation, target, finished_at desc) where state = 'succeeded';

create sequence fences;

-- What a run wants to hold, and holds while it runs or is parked. A row lives and dies with the run's state.
create table run_locks (
  target    text not null,
  name      text not null,
  run       uuid not null references runs (id),
  exclusive boolean not null,
  held      boolean not null default false,
  primary key (target, name, run)
);
create index run_locks_by_run on run_locks (run);
create index run_locks_held on run_locks (target, name) where held;
create index run_locks_exclusive on run_locks (target, name) where exclusive;

-- Fences that were taken away from attempts whose process may still live: their sessions are ended before the next work on that target.
create table lost_fences (
  target  text not null,
  fence   bigint not null,
  lost_at timestamptz not null default now(),
  primary key (target, fence)
);

create table reaper (
  one        boolean primary key default true check (one),
  passed_at  timestamptz not null default now(),
  rest_until timestamptz not null default now()
);
insert into reaper default values;

-- Everything that ever happened to a run, in order.
create table history (
  run     uuid not null references runs (id),
  at      timestamptz not null default clock_timestamp(),
  event   text not null,
  attempt int,
  fence   bigint,
  worker  text,
  detail  jsonb,
  n       bigint generated always as identity primary key
);
create index history_by_run on history (run, n);

create table run_logs (
  run    uuid not null references runs (id),
  n      int not null,
  at     timestamptz not null,
  level  text not null,
  line   text not null,
  primary key (run, n)
);

-- What people ask for. The scheduler takes each up once and answers in the same transaction that does it.
create table commands (
  id          uuid primary key,
  key         text unique,                         -- the asker's own: the same key is the same command
  verb        text not null,
  body        jsonb not null,
  actor       text not null,
  created_at  timestamptz not null default now(),
  answered_at timestamptz,
  answer      jsonb
);
create index commands_open on commands (created_at) where answered_at is null;

create table audit (
  n       bigint generated always as identity primary key,
  at      timestamptz not null default now(),
  actor   text not null,
  action  text not null,
  subject text not null,
  detail  jsonb not null default '{}'
);

-- Processes, by name; each renews its row with its heartbeat.
create table services (
  name         text primary key,                   -- app@host:pid
  app          text not null,
  version      text not null,
  catalog_hash text not null,
  config_hash  text not null,
  address      text,                               -- of its health and metrics page
  started_at   timestamptz not null default now(),
  seen_at      timestamptz not null default now(),
  ready        boolean not null default false,
  reasons      jsonb not null default '[]',        -- why it is not ready
  detail       jsonb not null default '{}'         -- lanes, tools, findings
);
create index services_seen on services (app, seen_at);

-- One holder at a time for loops that need no more than that: publisher, trimmer, a probe of a target.
create table leases (
  name   text primary key,
  holder text not null,
  until  timestamptz not null
);

create table probes (
  target  text not null,
  probe   text not null,
  state   text not null check (state in ('ok', 'failed')),
  since   timestamptz not null,
  at      timestamptz not null,
  result  jsonb,
  error   jsonb,
  primary key (target, probe)
);
