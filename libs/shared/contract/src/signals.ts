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
const policyFacts = z.object({ task: z.string(), rule: z.string(), reason: z.string(), actor: z.string() }).meta({ title: 'PolicyFacts' })

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
  run_succeeded: { severity: 'info', summary: 'a run ended well', data: runFacts, resolves: ['run_failed'] },
  run_failed: { severity: 'error', summary: 'a run ended badly', data: runFacts, alert: true },
  run_cancelled: { severity: 'info', summary: 'a run was cancelled by a person', data: runFacts },
  run_lost: { severity: 'warning', summary: 'an attempt was lost with its process; the run goes on elsewhere', data: runFacts },
  schedule_missed: { severity: 'warning', summary: 'slots of a schedule were not run', data: scheduleFacts },
  policy_violation: { severity: 'warning', summary: 'a policy refused a command', data: policyFacts },
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
  redis_stream_data_loss: { severity: 'error', summary: 'entries were trimmed that a registered reader had not read', data: groupFacts },
  db_connection_failed: { severity: 'critical', summary: 'a PostgreSQL target does not answer', data: probeFacts, alert: true },
  db_connection_recovered: {
    severity: 'info',
    summary: 'a PostgreSQL target answers again',
    data: probeFacts,
    resolves: ['db_connection_failed'],
  },
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
