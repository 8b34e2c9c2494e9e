// Decides what a purge will do and whether it may, before a row is touched.
import type { Purge } from '@dbops/contract/config-file'
import { Refused } from '@dbops/contract/failure'
import type { Fault } from '@dbops/contract/task'
import { escapeIdentifier } from 'pg'
import { quoteTable, showTable } from '../table-name.ts'
import type { Postgres } from '../task.ts'
import { byIndexOnly, type Estimate, estimateAll } from './estimate.ts'
import { checkRights, findObstacles, type Obstacles } from './obstacles.ts'
import { checkMeaning } from './predicate.ts'
import { findSubject, type Subject } from './subject.ts'

export interface PurgePlan extends Obstacles {
  subject: Subject
  /** The rows are seen and deleted through policies that let this role do all of it. */
  byPolicy: boolean
  estimates: Estimate[]
  rows: number
  expired: number
  exact: boolean
  advice: Fault[]
}

const exactly = ({ qualifies }: Subject, leaf: Estimate['leaf']) =>
  `SELECT count(*)::float8 AS rows, count(*) FILTER (WHERE ${qualifies})::float8 AS expired FROM ONLY ${quoteTable(leaf)}`
/** ms. */
const countLimit = 60_000

/**
 * Refused: what `findSubject`, `checkRights`, `checkMeaning` and `findObstacles` refuse, and `too_much` where more than `atMost` percent would go. `begun`: some of the rows are
 * gone already, so that their share says nothing.
 */
export async function planPurge(
  pg: Postgres,
  policy: Purge,
  cutOff: Date | null,
  begun: boolean,
  found: (faults: Fault[]) => Promise<void>,
): Promise<PurgePlan> {
  const subject = await findSubject(pg, policy, cutOff)
  const byPolicy = await checkRights(pg, subject)
  const settings = { row_security: byPolicy ? 'on' : 'off', statement_timeout: String(countLimit) }
  await using reader = await pg.session({ ...settings, constraint_exclusion: 'on' })
  if (subject.where !== undefined) await checkMeaning(reader, subject.leaves[0] ?? subject.table, subject.where, subject.columns)
  const obstacles = await findObstacles(pg, subject, found)
  await using planner = await pg.session({ ...settings, ...byIndexOnly })
  let estimates = await estimateAll(reader, planner, subject)
  // A trigger that sees every deleted row would not see a partition that is emptied.
  if (obstacles.triggers.length)
    estimates = estimates.map(one => (one.way === 'partition' ? { ...one, way: 'blocks', why: 'a trigger sees its rows go' } : one))
  const total = () => ({ rows: sum(estimates, 'rows'), expired: sum(estimates, 'expired'), exact: estimates.every(({ exact }) => exact) })
  let numbers = total()
  const isTooMuch = () => numbers.expired * 100 > policy.atMost * numbers.rows
  if (!begun && isTooMuch()) {
    // An estimate refuses nobody while the table can be counted.
    estimates = await Promise.all(estimates.map(async one => (one.exact ? one : { ...one, ...(await count(reader, subject, one)) })))
    numbers = total()
    if (isTooMuch()) throw tooMuch(policy, numbers)
  }
  return { ...obstacles, subject, byPolicy, estimates, ...numbers, advice: adviceOf(subject, estimates) }
}

async function count(reader: Pick<Postgres, 'query'>, subject: Subject, { leaf }: Estimate) {
  try {
    const [row] = await reader.query<{ rows: number; expired: number }>(exactly(subject, leaf))
    return { ...row!, exact: true }
  } catch (error) {
    if ((error as { code?: string }).code !== '57014') throw error
    return {}
  }
}

const tooMuch = ({ table, atMost }: Purge, { rows, expired, exact }: { rows: number; expired: number; exact: boolean }) =>
  new Refused(
    `${exact ? '' : 'about '}${expired.toLocaleString('en')} of ${rows.toLocaleString('en')} rows of ${table} would go, ${((100 * expired) / rows).toFixed(1)} %: the policy allows ${atMost} %`,
    {
      code: 'too_much',
      hint: 'look at its condition and age; where so much is meant, write atMost: 100 for the first run and take it back',
    },
  )

const sum = (estimates: Estimate[], key: 'rows' | 'expired') => estimates.reduce((all, one) => all + one[key], 0)

const adviceOf = (subject: Subject, estimates: Estimate[]): Fault[] =>
  estimates
    .filter(({ advised }) => advised !== null)
    .map(({ leaf, expired, cost, advised }) => ({
      key: `index for purges of ${showTable(leaf)} by ${subject.by}${subject.where === undefined ? '' : ` where ${subject.where}`}`,
      level: 'info',
      what: `a purge of ${showTable(leaf)} reads ${(cost.index ?? cost.blocks).toLocaleString('en')} blocks for ${expired < 1 ? 'hardly a row' : `about ${Math.round(expired).toLocaleString('en')} rows`}; with an index it would cost as much as reading ${Math.max(1, Math.round(advised!)).toLocaleString('en')}`,
      sql: `CREATE INDEX CONCURRENTLY ON ${quoteTable(leaf)} (${unquoted(subject.by)})${subject.where === undefined ? '' : ` WHERE ${subject.where}`}`,
    }))
const unquoted = (name: string) => (/^"[a-z_][a-z0-9_]*"$/.test(name) ? name.slice(1, -1) : escapeIdentifier(name.slice(1, -1)))

/** As it is stored and shown. */
export function showPlan({ subject, estimates, rows, expired, exact, references, triggers, advice }: PurgePlan) {
  const todo = estimates.filter(({ way }) => way !== 'none')
  return {
    table: showTable(subject.table),
    condition: subject.qualifies,
    cutOff: subject.cutOff.toISOString(),
    rows,
    expired,
    numbers: exact ? 'counted' : 'estimated from a sample of the blocks',
    forecast: forecast(todo),
    tables: todo
      .slice(0, 20)
      .map(({ leaf, way, why, expired, cost }) => ({ table: showTable(leaf), way, why, expired, blocks: leaf.blocks, cost })),
    untouched: estimates.length - todo.length,
    references,
    triggers,
    advice: advice.map(({ what, sql }) => ({ what, sql })),
  }
}

// Measured where everything is in memory (domain.md 5.4): a million rows a second by blocks, a fifth of that by keys, 10 µs to read a block.
const forecast = (estimates: Estimate[]) => {
  const seconds = estimates.reduce(
    (all, { way, expired, cost }) =>
      all +
      (way === 'partition'
        ? 0.05
        : (way === 'index' ? expired * 5e-6 : expired * 1e-6) + (way === 'index' ? (cost.index ?? 0) : cost.blocks * 2) * 1e-5),
    0,
  )
  return {
    seconds: Math.ceil(seconds),
    batches: Math.ceil(seconds / 0.2),
    of: 'a server where nobody else works; beside others about three times as long',
  }
}
