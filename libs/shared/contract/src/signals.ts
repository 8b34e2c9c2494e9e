// Every event that the system can tell: its name, level and meaning, in one table. Config, alert rules, event schemas and docs follow from it.
import { z } from 'zod'
import { failure } from './failure.ts'

export const severities = ['info', 'warning', 'error', 'critical'] as const
export type Severity = (typeof severities)[number]

/** The facts of a run's end. `attempt` counts from 1; times are ISO 8601 in UTC. */
export const runFacts = z
  .object({
    task: z.string(),
    state: z.string(),
    attempt: z.int(),
    mode: z.string(),
    schedule: z.string().nullable(),
    slot: z.iso.datetime().nullable(),
    startedAt: z.iso.datetime().nullable(),
    finishedAt: z.iso.datetime().nullable(),
    result: z.record(z.string(), z.unknown()).nullable(),
    error: failure.nullable(),
    lastGood: z.object({ id: z.string(), createdAt: z.iso.datetime(), location: z.string() }).nullable().optional(),
  })
  .meta({ title: 'RunFacts' })

/** What a probe saw when its state changed. */
export const probeFacts = z
  .object({
    probe: z.string(),
    state: z.string(),
    since: z.iso.datetime(),
    error: failure.nullable(),
    result: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ title: 'ProbeFacts' })

const scheduleFacts = z
  .object({ schedule: z.string(), from: z.iso.datetime(), to: z.iso.datetime(), slots: z.int(), reason: z.string() })
  .meta({ title: 'ScheduleFacts' })
const groupFacts = z
  .object({ group: z.string(), behind: z.int(), oldest: z.iso.datetime().nullable(), maxLag: z.string() })
  .meta({ title: 'GroupFacts' })
const catalogFacts = z.object({ service: z.string(), mine: z.string(), theirs: z.string() }).meta({ title: 'CatalogFacts' })
const outageFacts = z.object({ since: z.iso.datetime(), until: z.iso.datetime(), error: failure.nullable() }).meta({ title: 'OutageFacts' })
const policyFacts = z.object({ task: z.string(), rule: z.string(), reason: z.string(), actor: z.string() }).meta({ title: 'PolicyFacts' })

export const findingFacts = z
  .object({
    source: z.string(),
    key: z.string(),
    level: z.enum(severities),
    what: z.string(),
    hint: z.string().nullable(),
    sql: z.string().nullable(),
    since: z.iso.datetime(),
    evidence: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ title: 'FindingFacts' })
/** A statement that ran long; `query` is cut at 500 characters and redacted. */
const slowFacts = z
  .object({
    duration_ms: z.number(),
    query: z.string(),
    params_count: z.int().nullable(),
    pid: z.int().nullable().optional(),
    role: z.string().nullable().optional(),
    application: z.string().nullable().optional(),
    source: z.string().optional(),
    /** By the clock of the service that said it. */
    occurred_at: z.iso.datetime().optional(),
  })
  .meta({ title: 'SlowStatementFacts' })
/** A signed command: `command` is the sender's own id of it. */
const acceptedFacts = z
  .object({ command: z.string(), key: z.string(), verb: z.string(), run: z.uuid().nullable() })
  .meta({ title: 'CommandAcceptedFacts' })
/** `key` is null where nobody knows who sent it; `more` is how many further refusals of that kind were held back before this one. */
const refusedFacts = z
  .object({
    command: z.string().nullable(),
    key: z.string().nullable(),
    reason: z.string(),
    message: z.string(),
    hint: z.string(),
    run: z.uuid().nullable(),
    more: z.int(),
  })
  .meta({ title: 'CommandRefusedFacts' })
/** What another service said on its own stream, as it said it. */
const foreignFacts = z.object({}).loose().meta({ title: 'ForeignFacts' })

interface Signal {
  severity: Severity
  summary: string
  data: z.ZodObject
  /** Opens an alert of this name; a signal that names it in `resolves` closes it again (same operation). */
  alert?: true
  resolves?: readonly string[]
}

// Names and levels of the platform's own table (mission.md §4) stand unchanged.
export const signals = {
  backup_completed: {
    severity: 'info',
    summary: 'a backup is in its store, with its manifest',
    data: runFacts,
    resolves: ['backup_failed'],
  },
  backup_failed: { severity: 'critical', summary: 'a backup did not come about', data: runFacts, alert: true },
  vacuum_completed: { severity: 'info', summary: 'tables were vacuumed, and it shows', data: runFacts, resolves: ['vacuum_failed'] },
  vacuum_failed: { severity: 'error', summary: 'a vacuum failed or had no effect', data: runFacts, alert: true },
  backup_verified: {
    severity: 'info',
    summary: 'a backup was restored, and everything in it is as it should be',
    data: runFacts,
    resolves: ['restore_check_failed'],
  },
  restore_check_failed: {
    severity: 'critical',
    summary: 'a backup could not be restored, or not all of it is there',
    data: runFacts,
    alert: true,
  },
  cleanup_completed: {
    severity: 'info',
    summary: 'rows past their retention were deleted',
    data: runFacts,
    resolves: ['cleanup_failed'],
  },
  outbox_cleanup_completed: {
    severity: 'info',
    summary: 'rows of the outbox past their retention were deleted',
    data: runFacts,
    resolves: ['cleanup_failed'],
  },
  cleanup_failed: { severity: 'error', summary: 'rows past their retention are still there', data: runFacts, alert: true },
  analyze_completed: { severity: 'info', summary: 'statistics of tables were renewed', data: runFacts, resolves: ['analyze_failed'] },
  analyze_failed: { severity: 'error', summary: 'statistics of tables could not be renewed', data: runFacts, alert: true },
  mv_refresh_completed: {
    severity: 'info',
    summary: 'materialized views were refreshed',
    data: runFacts,
    resolves: ['mv_refresh_failed'],
  },
  mv_refresh_failed: { severity: 'error', summary: 'materialized views could not be refreshed', data: runFacts, alert: true },
  approval_wanted: { severity: 'warning', summary: 'a run waits for the approval of another person', data: runFacts, alert: true },
  approval_ended: {
    severity: 'info',
    summary: 'nobody need approve any more: somebody has, has rejected or cancelled it, or its time is over',
    data: runFacts,
    resolves: ['approval_wanted'],
  },
  run_succeeded: { severity: 'info', summary: 'a run ended well', data: runFacts, resolves: ['run_failed'] },
  run_failed: { severity: 'error', summary: 'a run ended badly', data: runFacts, alert: true },
  run_cancelled: { severity: 'info', summary: 'a run was cancelled by a person', data: runFacts },
  run_refused: { severity: 'info', summary: 'what a person asked for cannot be done, or was not approved', data: runFacts },
  run_lost: { severity: 'warning', summary: 'an attempt was lost with its process; the run goes on elsewhere', data: runFacts },
  schedule_missed: { severity: 'warning', summary: 'slots of a schedule were not run', data: scheduleFacts },
  policy_violation: { severity: 'warning', summary: 'a policy refused a command', data: policyFacts },
  command_accepted: { severity: 'info', summary: 'a signed command of another service was carried out', data: acceptedFacts },
  command_refused: { severity: 'warning', summary: 'what came on dbops:commands was not carried out', data: refusedFacts },
  ledger_unreachable: {
    severity: 'critical',
    summary: 'the ledger does not answer; told by the relay itself, as no event can be written meanwhile',
    data: outageFacts,
    alert: true,
  },
  ledger_recovered: { severity: 'info', summary: 'the ledger answers again', data: outageFacts, resolves: ['ledger_unreachable'] },
  catalog_mismatch: { severity: 'warning', summary: 'two services have different catalogues of tasks', data: catalogFacts },
  stream_group_lagging: {
    severity: 'warning',
    summary: 'a registered reader of dbops:events is close to its maxLag',
    data: groupFacts,
    alert: true,
  },
  stream_group_recovered: {
    severity: 'info',
    summary: 'a registered reader of dbops:events has caught up',
    data: groupFacts,
    resolves: ['stream_group_lagging'],
  },
  redis_stream_data_loss: {
    severity: 'error',
    summary: 'entries of a stream were trimmed before one of its readers had read them',
    data: findingFacts,
    alert: true,
  },
  redis_eviction_risk: {
    severity: 'warning',
    summary: 'the eviction policy of a Redis may delete what nobody makes again',
    data: findingFacts,
    alert: true,
  },
  redis_eviction_safe: {
    severity: 'info',
    summary: 'the eviction policy of a Redis may delete nothing any more that nobody makes again',
    data: findingFacts,
    resolves: ['redis_eviction_risk'],
  },
  dead_letters_waiting: {
    severity: 'warning',
    summary: 'a reader of dbops:events has set entries aside, and a person is to look at them',
    data: findingFacts,
    alert: true,
  },
  dead_letters_cleared: {
    severity: 'info',
    summary: 'what a reader had set aside has gone out again, or was dropped',
    data: findingFacts,
    resolves: ['dead_letters_waiting'],
  },
  overload_began: {
    severity: 'warning',
    summary: 'more comes in than goes out, or a server that this system stands on is slow or full',
    data: findingFacts,
    alert: true,
  },
  overload_ended: { severity: 'info', summary: 'what had piled up is worked off', data: findingFacts, resolves: ['overload_began'] },
  db_connection_failed: { severity: 'critical', summary: 'a PostgreSQL target does not answer', data: probeFacts, alert: true },
  db_connection_recovered: {
    severity: 'info',
    summary: 'a PostgreSQL target answers again',
    data: probeFacts,
    resolves: ['db_connection_failed'],
  },
  probe_failed: { severity: 'error', summary: 'a reading of a target that answers could not be taken', data: probeFacts, alert: true },
  probe_recovered: { severity: 'info', summary: 'a reading can be taken again', data: probeFacts, resolves: ['probe_failed'] },
  finding_opened: { severity: 'warning', summary: 'something was found that a person may mend', data: findingFacts },
  finding_gone: { severity: 'info', summary: 'what was found is not there any more', data: findingFacts },
  redis_command_slow: { severity: 'warning', summary: 'a command kept a Redis for longer than 100 ms', data: slowFacts },
  db_query_slow: { severity: 'warning', summary: 'a statement runs longer than 1 s', data: slowFacts },
  db_query_failed: { severity: 'error', summary: 'a statement of the platform failed, as the platform says', data: foreignFacts },
  db_pool_overflow: {
    severity: 'warning',
    summary: 'a connection pool is larger than its size',
    data: findingFacts,
    alert: true,
  },
  db_pool_recovered: {
    severity: 'info',
    summary: 'a connection pool is within its size again',
    data: findingFacts,
    resolves: ['db_pool_overflow', 'db_pool_exhausted'],
  },
  db_pool_exhausted: { severity: 'error', summary: 'a connection pool has no connection left', data: findingFacts, alert: true },
  data_registered: { severity: 'info', summary: 'the platform has new data, as it says itself', data: foreignFacts },
  neo4j_connection_failed: { severity: 'critical', summary: 'a Neo4j target does not answer', data: probeFacts, alert: true },
  neo4j_connection_recovered: {
    severity: 'info',
    summary: 'a Neo4j target answers again',
    data: probeFacts,
    resolves: ['neo4j_connection_failed'],
  },
  redis_connection_failed: { severity: 'critical', summary: 'a Redis target does not answer', data: probeFacts, alert: true },
  redis_connection_recovered: {
    severity: 'info',
    summary: 'a Redis target answers again',
    data: probeFacts,
    resolves: ['redis_connection_failed'],
  },
} as const satisfies Record<string, Signal>

export type SignalName = keyof typeof signals
export const signalNames = Object.keys(signals) as SignalName[]
export const isSignal = (word: string): word is SignalName => Object.hasOwn(signals, word)

/** The alert that an event opens or closes, with which of the two; undefined for an event that does neither. */
export function alertsOf(event: SignalName): { opens: string | undefined; resolves: readonly string[] } {
  const signal: Signal = signals[event]
  return { opens: signal.alert ? event : undefined, resolves: signal.resolves ?? [] }
}
