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
  ...common,
})
export const neo4jTarget = z.strictObject({
  engine: z.literal('neo4j'),
  url: secret,
  user: z.string().optional(),
  password: secret.optional(),
  ...common,
})
export const redisTarget = z.strictObject({
  engine: z.literal('redis'),
  url: secret,
  password: secret.optional(),
  tls: tls.optional(),
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
  data: z.array(table).min(1).meta({ 'x-hint': 'write data: [schema.table, …]' }).describe('the tables whose rows are dumped'),
  parents: z
    .enum(['refuse', 'include'])
    .default('refuse')
    .describe('when a listed table refers to one that is not: refuse with the path, or include it'),
  stores: z.array(name).min(1).meta({ maxItems: 1 }).describe('one store per dump'), // the reader refuses a second one by name
})
export type Dump = z.infer<typeof dump>

const retry = z.strictObject({
  attempts: z.int().min(1).max(20).default(3),
  backoff: duration.default('30s').describe('before the second attempt; ×4 for each further one, at most 10m'),
})
export const schedule = z.strictObject({
  task: z.string(),
  cron: z.string().meta({ 'x-hint': 'write minute, hour, day, month and weekday, e.g. cron: "30 2 * * *"' }),
  zone: z.string().optional(),
  target: name.optional(),
  targets: z.array(name).min(1).optional(),
  params: z.record(z.string(), z.unknown()).default({}),
  misfire: z.enum(['latest', 'skip']).default('latest').describe('slots that fell due while no scheduler ran: run the latest, or none'),
  catchUp: duration.default('1h').describe('how late a slot may still begin'),
  overlap: z.enum(['skip']).default('skip').describe('a slot that falls due while the one before runs: recorded as skipped'),
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
  schedules: z.record(name, schedule).default({}),
  streams: z.strictObject({ groups: z.record(name, z.strictObject({ maxLag: duration.default('14d') })).default({}) }).prefault({}),
  alerts: z.strictObject({ channels: z.record(name, channel).default({}), routes: z.array(route).default([]) }).prefault({}),
  timers: z
    .strictObject({ heartbeat: duration.default('5s'), lease: duration.default('30s'), reap: duration.default('5s') })
    .prefault({})
    .describe('all other times of the run protocol follow from these'),
})
export type ConfigFile = z.infer<typeof configFile>

/** The sections whose entries a task may name in a parameter (`ref('dumps')`), with the shape it gets. */
export interface Sections {
  dumps: Dump
}
