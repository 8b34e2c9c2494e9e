// What is wrong with a job of pg_cron: it does what this system does, it fails, or it is written in a way that cannot work or does harm.
import type { Fault } from '@dbops/contract/task'
import { parseTable } from '../table-name.ts'
import { parseStatement, splitStatements } from './statements.ts'

export interface CronJob {
  id: number
  name: string | null
  schedule: string
  command: string
  database: string
  active: boolean
  lastStatus: string | null
  lastMessage: string | null
  lastStart: Date | null
}

/** What this system does by itself on the target: verb → table (`schema.name`) → who does it (`schedules.purge-outbox`). No table: every one. */
export type Doings = Record<'delete' | 'vacuum' | 'analyze' | 'refresh', Map<string, string>>
export const everyTable = '*'

export function* judgeJob(job: CronJob, doings: Doings, database: string): Generator<Fault> {
  const statements = splitStatements(job.command).map(parseStatement)
  const what = `pg_cron's job ${job.id}${job.name ? ` "${job.name}"` : ''}`
  const evidence = { ...job, lastStart: job.lastStart?.toISOString() ?? null }
  const unschedule = `SELECT cron.unschedule(${job.id})`
  if (!job.active) return

  const doubles = statements.flatMap(({ verb, tables }) => {
    const same = verb === 'truncate' ? doings.delete : verb === 'other' ? undefined : doings[verb]
    return tables.flatMap(table => {
      const by = same && doneBy(same, table, verb)
      return by ? [`${verb} of ${table} (${by})`] : []
    })
  })
  if (doubles.length)
    yield {
      key: `double ${job.id}`,
      level: 'warning',
      what: `${what} does what this system does too: ${[...new Set(doubles)].join(', ')}; both run`,
      hint: 'one plan only: unschedule it there, or take it out of the configuration here; docs/operate/cron-jobs.md',
      sql: unschedule,
      evidence,
    }
  if (job.lastStatus === 'failed')
    yield {
      key: `failing ${job.id}`,
      level: 'error',
      what: `${what} failed at its last run: ${job.lastMessage ?? 'without a message'}`,
      hint: 'pg_cron tells nobody; docs/operate/cron-jobs.md',
      sql: unschedule,
      evidence,
    }
  const traps = trapsOf(statements, job, database)
  if (traps.length)
    yield {
      key: `trap ${job.id}`,
      level: 'warning',
      what: `${what} ${traps.join('; it ')}`,
      hint: 'docs/operate/cron-jobs.md has the cases and what does not fall into them',
      sql: unschedule,
      evidence,
    }
}

/** An unqualified name may be any schema's. Every-table tasks count for vacuum and analyze. */
function doneBy(tables: Map<string, string>, written: string, verb: string): string | undefined {
  const all = verb === 'vacuum' || verb === 'analyze' ? tables.get(everyTable) : undefined
  const [schema, name] = partsOf(written)
  const match = [...tables].find(([table]) => {
    const parsed = parseTable(table)
    return parsed?.name === name && (schema === undefined || parsed?.schema === schema)
  })
  return match?.[1] ?? all
}

/** Folded as the server folds it. */
function partsOf(written: string): [schema: string | undefined, name: string] {
  const parts = written
    .match(/"(?:[^"]|"")+"|[^."]+/g)!
    .map(part => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part.toLowerCase()))
  return parts.length > 1 ? [parts[0], parts[1]!] : [undefined, parts[0]!]
}

function trapsOf(statements: ReturnType<typeof parseStatement>[], job: CronJob, database: string): string[] {
  const unqualified = [...new Set(statements.flatMap(({ tables }) => tables).filter(table => partsOf(table)[0] === undefined))]
  return [
    statements.some(({ verb }) => verb === 'vacuum') &&
      statements.length > 1 &&
      'has a VACUUM among several statements, which run in one transaction: it fails each time',
    statements.some(({ verbose }) => verbose) &&
      'says VERBOSE: before pg_cron 1.6.6 its notices can hang the job or crash the worker, and with it the server',
    statements.filter(({ verb }) => verb === 'refresh').length > 1 &&
      'refreshes several views in one transaction: if one cannot be, none is',
    unqualified.length > 0 &&
      `names ${unqualified.join(', ')} without a schema: what that is depends on the search_path of its role${job.database === database ? '' : `, in database ${job.database}`}`,
  ].filter(trap => typeof trap === 'string')
}
