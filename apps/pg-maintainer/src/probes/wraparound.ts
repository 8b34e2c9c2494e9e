// pg.wraparound: how many transactions are left before a database accepts no more, and who keeps old ones from being frozen.
import { z } from 'zod'
import { showTable } from '../table-name.ts'
import { defineProbe } from '../task.ts'
import { describeHolder } from '../vacuum/holder.ts'
import { horizonHolders } from '../vacuum/horizon.ts'
import { agesOf, stopsAt } from '../wraparound/ages.ts'
import { faultOf } from '../wraparound/fault.ts'

const ages = z.strictObject({ name: z.string(), xids: z.int(), multixacts: z.int() })
const most = 20

export default defineProbe({
  name: 'pg.wraparound',
  summary: 'Age of the oldest unfrozen transaction and multixact, per database and in the worst tables, and who holds them',
  every: '5m',
  result: z.strictObject({
    /** At these ages autovacuum begins to freeze by force. */
    freezeMaxAge: ages.omit({ name: true }),
    /** The oldest first, at most 20. */
    databases: z.array(ages),
    /** Of this database, with their TOAST. */
    tables: z.array(z.strictObject({ table: z.string(), xids: z.int(), multixacts: z.int(), bytes: z.int() })),
    /** Transactions that are left in the oldest database. */
    left: z.int().nullable(),
    holders: z.array(z.strictObject({ who: z.string(), age: z.int() })),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ databases, left }) => ({
    database_frozen_age_transactions: databases.map(({ name, xids }) => ({ labels: { datname: name }, value: xids })),
    database_frozen_age_multixacts: databases.map(({ name, multixacts }) => ({ labels: { datname: name }, value: multixacts })),
    transactions_left: left,
  }),
  async look(c) {
    const { freezeMaxAge, databases, tables } = await agesOf(c.pg)
    const holders = await horizonHolders(c.pg, true)
    for (const database of databases)
      for (const counter of ['xids', 'multixacts'] as const) {
        const fault = faultOf(database, counter, freezeMaxAge[counter], database.name === c.pg.database ? tables : [], holders)
        if (fault) c.find(fault)
      }
    return {
      freezeMaxAge,
      databases: databases.slice(0, most),
      tables: tables.map(({ schema, name, ...age }) => ({ table: showTable({ schema, name }), ...age })),
      left: databases.length ? stopsAt - Math.max(...databases.map(({ xids, multixacts }) => Math.max(xids, multixacts))) : null,
      holders: holders.slice(0, 5).map(holder => ({ who: describeHolder(holder).who, age: holder.age })),
    }
  },
})
