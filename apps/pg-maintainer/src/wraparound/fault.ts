// From which age on a database is in danger of wraparound, and what would help.
import type { Severity } from '@dbops/contract/signals'
import type { Fault } from '@dbops/contract/task'
import { quoteTable } from '../table-name.ts'
import { describeHolder, endOfHolder, type Holder } from '../vacuum/holder.ts'
import { type Ages, stopsAt, type TableAge } from './ages.ts'

/** domain.md 5.6: a quarter beyond the age at which autovacuum is forced to freeze it does not keep up; 1.0e9 and 1.5e9 leave hours to days. */
export function severityOf(age: number, freezeMaxAge: number): Severity | null {
  if (age >= 1.5e9) return 'critical'
  if (age >= 1.0e9) return 'error'
  return age > 1.25 * freezeMaxAge ? 'warning' : null
}

const words = { xids: 'transactions', multixacts: 'multixacts' }
const count = (n: number) => n.toLocaleString('en-US')

/** Null below every threshold. `tables` are the oldest of the database where it is the one looked at, else none. */
export function faultOf(
  database: Ages,
  counter: 'xids' | 'multixacts',
  freezeMaxAge: number,
  tables: TableAge[],
  holders: Holder[],
): Fault | null {
  const age = database[counter]
  const level = severityOf(age, freezeMaxAge)
  if (!level) return null
  // A holder that is younger than the age at which freezing is forced keeps nobody from freezing.
  const holder = holders.find(one => one.age > freezeMaxAge)
  const [worst] = tables.toSorted((a, b) => b[counter] - a[counter])
  const sql = holder ? endOfHolder(holder) : worst && `VACUUM (FREEZE) ${quoteTable(worst)}`
  return {
    key: `${counter} ${database.name}`,
    level,
    what: `the oldest of database ${database.name} is ${count(age)} ${words[counter]} old, and autovacuum freezes from ${count(freezeMaxAge)}; ${count(stopsAt - age)} are left before it accepts no more`,
    hint: holder
      ? `${describeHolder(holder).who} keeps old rows from being frozen: ${describeHolder(holder).hint}`
      : 'autovacuum does not keep up: freeze the oldest tables by hand; docs/operate/wraparound.md',
    ...(sql ? { sql } : {}),
    evidence: { age, freezeMaxAge, tables: tables.slice(0, 5), holders: holders.slice(0, 3) },
  }
}
