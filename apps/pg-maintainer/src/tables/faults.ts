// What is wrong with a table, and with whoever keeps its dead rows; some of it only when it lasts.
import { formatDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import { hasLasted, type Since } from '../lasting.ts'
import { quoteTable, showTable, type TableName } from '../table-name.ts'
import { describeHolder, endOfHolder, type Holder } from '../vacuum/holder.ts'
import type { TableNumbers } from './statistics.ts'

/** The platform's rule HighDeadTuples: so many, for so long (ms). */
const tooManyDead = 100_000
const deadFor = 30 * 60_000
/** A table of so many rows should have statistics, once autovacuum has had its time (ms). */
export const analyzedFrom = 1_000
const analyzedWithin = 10 * 60_000
/** How long a prepared transaction or a session may hold the horizon (ms) … */
const holdsFor = { prepared: 10 * 60_000, session: 3_600_000 }
/** … and how far a slot that nobody reads, and one in use or a standby (transactions). */
const holdsOver = { unread: 100_000, used: 10_000_000 }

const isDead = ({ dead }: TableNumbers) => dead > tooManyDead
const isUnanalyzed = ({ live, lastAnalyze, lastAutoanalyze }: TableNumbers) => live > analyzedFrom && !lastAnalyze && !lastAutoanalyze

/** The keys of the faults that this table has now and that count only when they last. */
export const lastingKeys = (table: TableNumbers): string[] => [
  ...(isDead(table) ? [`dead ${showTable(table)}`] : []),
  ...(isUnanalyzed(table) ? [`unanalyzed ${showTable(table)}`] : []),
]

export function* tableFaults(
  table: TableNumbers,
  { since, now, holders }: { since: Since; now: Date; holders: Holder[] },
): Generator<Fault> {
  const name = showTable(table)
  const [holder] = holders
  const deadKey = `dead ${name}`
  if (isDead(table) && hasLasted(since, deadKey, deadFor, now))
    yield {
      key: deadKey,
      level: 'warning',
      what: `${name} has ${count(table.dead)} dead rows beside ${count(table.live)} living ones, and more than ${count(tooManyDead)} for ${formatDuration(now.getTime() - Date.parse(since[deadKey]!))}`,
      hint:
        holder && holder.age > 0
          ? `vacuum may not remove them while they are held: ${describeHolder(holder).who}`
          : 'autovacuum does not keep up here: run pg.vacuum, and schedule it',
      sql: `VACUUM (ANALYZE) ${quoteTable(table)}`,
      evidence: { ...table, holders: holders.slice(0, 3) },
    }
  if (isUnanalyzed(table) && hasLasted(since, `unanalyzed ${name}`, analyzedWithin, now))
    yield {
      key: `unanalyzed ${name}`,
      level: 'warning',
      what: `${name} has ${count(table.live)} rows and was never analyzed: the planner guesses`,
      sql: `ANALYZE ${quoteTable(table)}`,
    }
  if (table.autovacuumOff)
    yield {
      key: `autovacuum off ${name}`,
      level: 'warning',
      what: `autovacuum is switched off for ${name} (${count(table.dead)} dead rows): only pg.vacuum comes there, and the vacuum against wraparound`,
      hint: 'where a schedule vacuums it, acknowledge this; else switch it on again',
      sql: `ALTER TABLE ${quoteTable(table)} RESET (autovacuum_enabled)`,
    }
}

/** A table that only the configuration knows. */
export const absentFault = (table: TableName, namedBy: string[]): Fault => ({
  key: `missing ${showTable(table)}`,
  level: 'error',
  what: `${showTable(table)} is not in the database; named by ${namedBy.join(', ')}`,
  hint: 'it was renamed or dropped: correct the configuration, as the catalogue spells it',
})

/** Null for one that may: a short one, and a backup of ours. */
export function holderFault(holder: Holder, now: Date): Fault | null {
  if (!holdsLong(holder, now)) return null
  const { kind, name, pid, age } = holder
  const { who, hint } = describeHolder(holder)
  const sql = endOfHolder(holder)
  return {
    key: `horizon ${kind} ${name} ${pid ?? ''}`.trim(),
    level: 'warning',
    what: `${who} keeps ${kind === 'slot' ? 'write-ahead log and ' : ''}dead rows from being removed, those of the last ${count(age)} transactions`,
    hint,
    ...(sql ? { sql } : {}),
    evidence: { ...holder },
  }
}

function holdsLong({ kind, name, age, since, state }: Holder, now: Date): boolean {
  if (kind === 'slot' || kind === 'standby') return age > (state === 'read by nobody' ? holdsOver.unread : holdsOver.used)
  return since !== null && !name.startsWith('dbops:') && now.getTime() - since.getTime() > holdsFor[kind]
}

const count = (n: number) => n.toLocaleString('en-US')
