// What the installation under attack is to do: schedules of every word, every few seconds, on tables whose rows tell who touched them.

/** Schedules by cron: due at the seconds of each minute that are `offset` and so many times `every` beyond it. The checker counts them so, without any cron. */
export const schedules = [
  {
    name: 'analyze',
    task: 'pg.analyze',
    params: '{ tables: [chaos.a] }',
    offset: 0,
    every: 2,
    zone: 'UTC',
    misfire: 'latest',
    overlap: 'skip',
  },
  {
    name: 'vacuum',
    task: 'pg.vacuum',
    params: '{ tables: [chaos.a, chaos.b] }',
    offset: 0,
    every: 5,
    zone: 'Asia/Seoul',
    misfire: 'skip',
    overlap: 'skip',
  },
  {
    name: 'purge-a',
    task: 'pg.purge',
    params: '{ policy: a }',
    offset: 0,
    every: 4,
    zone: 'America/St_Johns',
    misfire: 'latest',
    overlap: 'skip',
  },
  {
    name: 'purge-b',
    task: 'pg.purge',
    params: '{ policy: b }',
    offset: 3,
    every: 10,
    zone: 'Asia/Kathmandu',
    misfire: 'all',
    overlap: 'queue',
  },
  { name: 'dump', task: 'pg.dump', params: '{ dump: rows }', offset: 7, every: 10, zone: 'UTC', misfire: 'latest', overlap: 'skip' },
  {
    name: 'refresh',
    task: 'pg.refresh-views',
    params: '{ group: sums }',
    offset: 1,
    every: 15,
    zone: 'UTC',
    misfire: 'latest',
    overlap: 'queue',
  },
] as const

const schedule = (s: (typeof schedules)[number]) =>
  `  ${s.name}: { task: ${s.task}, ${s.params.includes('tables') ? 'target: core, ' : ''}cron: "${s.offset}-59/${s.every} * * * * *", zone: ${s.zone}, params: ${s.params}, misfire: ${s.misfire}, overlap: ${s.overlap}, catchUp: 30m, retry: { attempts: 20, backoff: 1s } }\n`

/** Timers a tenth of the real ones, unless they are to be `real`. `storeFolder`: where dumps go. */
export const configFor = (storeFolder: string, timers: 'tenth' | 'real' = 'tenth') => `environment: chaos
${timers === 'tenth' ? 'timers: { heartbeat: 500ms, lease: 3s, reap: 500ms }' : ''}
targets:
  core: { engine: pg, url: "\${CORE_URL}", concurrency: { heavy: 3, light: 4 } }
  cache: { engine: redis, url: "\${PLATFORM_URL}" }
stores: { main: { url: "file://${storeFolder}", free: 1MiB } }
dumps: { rows: { target: core, data: [chaos.a], stores: [main] } }
purges:
  a: { target: core, table: chaos.a, by: at, age: 1m }
  b: { target: core, table: chaos.b, by: at, age: 1m }
views: { sums: { target: core, members: [chaos.sums] } }
ingest: { platform: { target: cache, stream: "axiom:events", keep: [data_registered] } }
streams: { groups: { reporting: {} } }
schedules:
${schedules.map(schedule).join('')}  refresh-on-data: { task: pg.refresh-views, event: data_registered, debounce: 1s, params: { group: sums }, retry: { attempts: 20, backoff: 1s } }
alerts:
  channels: { sink: { type: webhook, url: "\${SINK_URL}", secret: "\${SINK_SECRET}", timeout: 2s } }
  routes: [ { match: { severity: [error, critical, warning] }, to: [sink], repeat: 1m } ]
`

/** The tables. Each row that goes tells under which session it went, and takes its time, so that there is something to interrupt. */
export const tables = `
create schema chaos;
create table chaos.effects (n bigint generated always as identity primary key, at timestamptz not null default clock_timestamp(), app text not null default current_setting('application_name'), what text not null, key text not null);
create function chaos.tell() returns trigger language plpgsql as $$ begin
  insert into chaos.effects (what, key) values ('purge ' || tg_table_name, old.id::text);
  perform pg_sleep(0.008);
  return old;
end $$;
create table chaos.a (id bigint generated always as identity primary key, at timestamptz not null, body text not null);
create table chaos.b (like chaos.a including all);
create trigger tell after delete on chaos.a for each row execute function chaos.tell();
create trigger tell after delete on chaos.b for each row execute function chaos.tell();
insert into chaos.a (at, body) select now() + interval '1 day', (select string_agg(md5(i::text || j), '') from generate_series(1, 30) j) from generate_series(1, 5000) i;
insert into chaos.b (at, body) select now() + interval '1 day', repeat('x', 200) from generate_series(1, 3000);
create materialized view chaos.sums as select at > now() as stays, count(*) as rows from chaos.a group by 1;
create unique index on chaos.sums (stays);
`
