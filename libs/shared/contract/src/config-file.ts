// The shape of config/axiom.yaml, section by section. Only what has an effect is accepted; the reader (runtime/config) adds lines, references and secrets.
import { z } from 'zod'
import { duration, size } from './duration.ts'
import { name, table } from './names.ts'
import { severities } from './signals.ts'

const variableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is no name of an environment variable')
  .meta({ 'x-hint': 'write the name alone: { env: CORE_PASSWORD }' })
// Services start in different folders, so a relative path would name a different file for each.
const secretFile = z
  .string()
  .regex(/^(\/|\$\{)/, 'is no absolute path')
  .meta({ 'x-hint': 'write { file: /run/secrets/core } or { file: "${CREDENTIALS_DIRECTORY}/core" }' })

/**
 * A value that only its owner opens, when it needs it: plain text in which `${NAME}` and `${NAME:-default}` stand for environment variables,
 * or `{ env: NAME }`, or `{ file: PATH }`. Everywhere else variables are filled in when the file is read.
 */
export const secret = z
  .union([z.string().min(1), z.strictObject({ env: variableName }), z.strictObject({ file: secretFile })])
  .meta({ 'x-secret': true, 'x-hint': 'write text (with ${NAME} for environment variables), { env: NAME } or { file: PATH }' })
export type Secret = z.infer<typeof secret>

const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const clockTime = z
  .string()
  .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'is no time of day')
  .meta({ 'x-hint': 'write "HH:MM", in quotes' })
const localTime = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/, 'is no point in time')
  .meta({ 'x-hint': 'write 2026-12-31T22:00; without an offset it is a time of `zone`' })
const share = z.strictObject({ heavy: z.int().min(1).default(2), light: z.int().min(1).default(4) })

const common = {
  concurrency: share.prefault({}).describe('runs at a time on this target, per lane, over all replicas'),
  labels: z.record(z.string(), z.string()).default({}).describe('passed on to metrics and alert routes'),
}
const tls = z.strictObject({ ca: secret.optional(), mode: z.enum(['require', 'verify-ca', 'verify-full']).default('verify-full') })

export const pgTarget = z.strictObject({
  engine: z.literal('pg'),
  url: secret.optional(),
  host: z.string().optional(),
  port: z.int().min(1).max(65535).optional(),
  database: z.string().optional(),
  user: z.string().optional(),
  password: secret.optional(),
  tls: tls.optional(),
  disk: size.optional().describe('promised size of its disk, where the server cannot say it (disk_usage_percent)'),
  slow: duration.default('1s').describe('a statement that runs longer than this is told as db_query_slow'),
  appRole: z.string().min(1).optional().describe('role of the application: row level security is tried as it in restore checks'),
  ...common,
})
export const neo4jTarget = z.strictObject({
  engine: z.literal('neo4j'),
  url: secret,
  user: z.string().optional(),
  password: secret.optional(),
  ...common,
})
const keysOfRedis = z.strictObject({
  prefix: z.string().min(1).describe('what their names begin with'),
  ttl: z
    .union([z.enum(['any', 'none']), duration])
    .default('any')
    .describe('how long each may live at most; any: each has an end; none: they may live for ever'),
  evictable: z.boolean().default(false).describe('a cache: what is lost of it is made again'),
})
export type KeysOfRedis = z.infer<typeof keysOfRedis>
export const redisTarget = z.strictObject({
  engine: z.literal('redis'),
  url: secret,
  password: secret.optional(),
  tls: tls.optional(),
  keys: z.record(name, keysOfRedis).default({}).describe('what lives there, and for how long, as it is promised'),
  ...common,
})
export const target = z.discriminatedUnion('engine', [pgTarget, neo4jTarget, redisTarget])
export type Target = z.infer<typeof target>
export type PgTarget = z.infer<typeof pgTarget>
export type Neo4jTarget = z.infer<typeof neo4jTarget>
export type RedisTarget = z.infer<typeof redisTarget>

export const store = z.strictObject({
  url: z.string().describe('where artifacts go: file:///absolute/folder'),
  free: size.default('1GiB').describe('space that a backup must leave free; a backup that would not is refused'),
})
export type Store = z.infer<typeof store>

export const window = z.strictObject({
  days: z.array(z.enum(days)).min(1).optional(),
  from: clockTime,
  to: clockTime,
  zone: z.string().optional(),
})
export type Window = z.infer<typeof window>
export const blackout = z.strictObject({
  from: localTime,
  to: localTime,
  reason: z.string().min(1),
  targets: z.array(name).optional().describe('left out: every target'),
  except: z.array(z.string()).default([]).describe('tasks that go on'),
})
export type Blackout = z.infer<typeof blackout>

export const dump = z.strictObject({
  target: name,
  schema: z.enum(['all']).default('all').describe('whose definitions are dumped: all schemas'),
  data: z
    .union([z.literal('all'), z.array(table).min(1)])
    .meta({ 'x-hint': 'write data: [schema.table, …], or data: all' })
    .describe('the tables whose rows are dumped; all: of every table that is there when the dump begins'),
  parents: z
    .enum(['refuse', 'include'])
    .default('refuse')
    .describe('when a listed table refers to one that is not: refuse with the path, or include it'),
  stores: z.array(name).min(1).meta({ maxItems: 1 }).describe('one store per dump'), // the reader refuses a second one by name
})
export type Dump = z.infer<typeof dump>

const column = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_$]*$/, 'is no name of a column')
  .meta({ 'x-hint': 'write the name alone, without quotes: published_at' })
export const purge = z.strictObject({
  target: name,
  table,
  where: z
    .string()
    .min(1)
    .meta({ 'x-hint': "write a condition such as status = 'PUBLISHED'; left out, every row past its age may go" })
    .optional()
    .describe("which rows may go at all, as SQL over the table's own columns: status = 'PUBLISHED'"),
  by: column.describe('timestamp column that says how old a row is'),
  age: duration.describe('rows older than this, counted back from the slot or the command, are deleted'),
  event: z.string().optional().describe('told instead of cleanup_completed'),
  atMost: z
    .int()
    .min(1)
    .max(100)
    .default(95)
    .describe('percent of the table that one run may delete; a policy that would delete more is refused'),
})
export type Purge = z.infer<typeof purge>

export const viewGroup = z.strictObject({
  target: name,
  members: z
    .array(table)
    .min(1)
    .meta({ 'x-hint': 'write members: [schema.view, …]' })
    .describe('materialized views that are refreshed together'),
  maxAge: duration.optional().describe('older than this is a finding'),
  window: name.optional().describe('when views that cannot be refreshed CONCURRENTLY may be locked; left out: at any time'),
})
export type ViewGroup = z.infer<typeof viewGroup>
/** As a run gets it: the window itself in place of its name. */
export type ViewGroupOfRun = Omit<ViewGroup, 'window'> & { window?: Window & { name: string; zone: string } }

export const pool = z.strictObject({
  target: name,
  match: z
    .strictObject({
      application_name: z.string().min(1).optional(),
      user: z.string().min(1).optional(),
      database: z.string().min(1).optional(),
    })
    .describe('which sessions are of this pool; * stands for anything'),
  size: z.int().min(1).describe('connections that one process keeps'),
  overflow: z.int().min(0).default(0).describe('connections beyond that in one process'),
  processes: z.int().min(1).default(1),
  recycle: duration.optional().describe('age at which the service closes a connection; one that is still used beyond that is a finding'),
})
export type Pool = z.infer<typeof pool>

export const ingest = z.strictObject({
  target: name.describe('a Redis target'),
  stream: z.string().min(1),
  group: z.string().min(1).default('dbops'),
  map: z
    .strictObject({
      type: z.string().default('event_type'),
      id: z.string().default('event_id'),
      time: z.string().default('created_at'),
      data: z.string().default('payload'),
    })
    .prefault({})
    .describe('fields of an entry that hold the name, id, time and data of its event'),
  keep: z.array(z.string().min(1)).min(1).describe('events that are taken over; all others are passed by'),
})
export type Ingest = z.infer<typeof ingest>

const retry = z.strictObject({
  attempts: z.int().min(1).max(20).default(3),
  backoff: duration.default('30s').describe('before the second attempt; ×4 for each further one, at most 10m'),
})
export const schedule = z.strictObject({
  task: z.string(),
  cron: z.string().meta({ 'x-hint': 'write minute, hour, day, month and weekday, e.g. cron: "30 2 * * *"' }).optional(),
  event: z.string().optional().describe('in place of cron: a run for this event of dbops:events'),
  debounce: duration.optional().describe('of event: further events within this time of the first make no further run'),
  zone: z.string().optional(),
  target: name.optional(),
  targets: z.array(name).min(1).optional(),
  params: z.record(z.string(), z.unknown()).default({}),
  misfire: z
    .enum(['latest', 'all', 'skip'])
    .default('latest')
    .describe('slots that fell due while no scheduler ran: run the latest, all within catchUp (the youngest 100), or none'),
  catchUp: duration.default('1h').describe('how late a slot may still begin'),
  overlap: z
    .enum(['skip', 'queue'])
    .default('skip')
    .describe('a slot that falls due while the one before runs: recorded as skipped, or queued behind it'),
  window: z
    .union([name, z.strictObject({ name, atEnd: z.enum(['finish', 'stop']).default('finish') })])
    .optional()
    .describe('runs begin only inside this window'),
  jitter: duration.optional(),
  priority: z.int().min(0).max(9).default(5).describe('9 goes first'),
  timeout: duration.optional(),
  deadline: duration.optional(),
  retry: retry.optional(),
  enabled: z.boolean().default(true),
})
export type Schedule = z.infer<typeof schedule>

const webhook = z.strictObject({ type: z.literal('webhook'), url: secret, secret: secret, timeout: duration.default('10s') })
const consoleChannel = z.strictObject({ type: z.literal('console') })
export const channel = z.discriminatedUnion('type', [webhook, consoleChannel])
export type Channel = z.infer<typeof channel>

export const route = z.strictObject({
  match: z
    .strictObject({
      severity: z.array(z.enum(severities)).min(1).optional(),
      event: z.array(z.string()).min(1).optional(),
      target: z.array(name).min(1).optional(),
      labels: z.record(z.string(), z.string()).optional(),
    })
    .default({}),
  to: z.array(name).min(1),
  repeat: duration.default('4h').describe('how often an alert that still fires is told again'),
})
export type Route = z.infer<typeof route>

/** The window in which VACUUM FULL is forbidden; where `windows` has none of that name it is Monday to Friday, 09:00 to 18:00. */
export const operatingHours = 'operating-hours'

const policies = z.strictObject({
  'forbid-vacuum-full': z
    .strictObject({ window: name.default(operatingHours) })
    .prefault({})
    .describe('VACUUM FULL never runs inside this window'),
  'forbid-ddl': z
    .strictObject({ environments: z.array(name).default(['prod']) })
    .prefault({})
    .describe('tasks that change definitions are refused in these environments, maintenance excepted'),
})

const commandKeys = z.strictObject({
  keys: z.record(name, secret).default({}).describe('who may sign commands on dbops:commands, each with its secret'),
})

export const configFile = z.strictObject({
  version: z.literal(1).default(1),
  zone: z.string().default('UTC').describe('of every schedule and window that names no other'),
  environment: name.default('dev'),
  ledger: z.strictObject({ url: secret }).optional(),
  redis: z.strictObject({ url: secret }).optional(),
  targets: z.record(name, target).default({}),
  stores: z.record(name, store).default({}),
  windows: z.record(name, window).default({}),
  blackouts: z.array(blackout).default([]),
  dumps: z.record(name, dump).default({}),
  purges: z.record(name, purge).default({}),
  views: z.record(name, viewGroup).default({}),
  pools: z.record(name, pool).default({}),
  ingest: z.record(name, ingest).default({}),
  schedules: z.record(name, schedule).default({}),
  streams: z.strictObject({ groups: z.record(name, z.strictObject({ maxLag: duration.default('14d') })).default({}) }).prefault({}),
  alerts: z.strictObject({ channels: z.record(name, channel).default({}), routes: z.array(route).default([]) }).prefault({}),
  policies: policies.prefault({}),
  commands: commandKeys.prefault({}),
  metrics: z.strictObject({ compat: z.boolean().default(true).describe("the platform's own metric names beside ours") }).prefault({}),
  timers: z
    .strictObject({ heartbeat: duration.default('5s'), lease: duration.default('30s'), reap: duration.default('5s') })
    .prefault({})
    .describe('all other times of the run protocol follow from these'),
})
export type ConfigFile = z.infer<typeof configFile>

/** The sections whose entries a task may name in a parameter (`ref('dumps')`), with the shape it gets. */
export interface Sections {
  dumps: Dump
  purges: Purge
  views: ViewGroupOfRun
}
