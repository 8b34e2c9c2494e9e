// A sequence begins again at the beginning.

import { columnsWithSequence, type Filled } from '../restore/filled-columns.ts'
import type { Mutation } from '../restore/mutation.ts'
import { quoteTable, showTable } from '../table-name.ts'

export const sequenceSetBack: Mutation = {
  name: 'sequence-set-back',
  about: 'a sequence that is behind its column',
  level: 'database',
  async apply({ pg }) {
    for (const one of await pg.query<Filled>(columnsWithSequence)) {
      const sequence = { schema: one.sequenceSchema, name: one.sequenceName }
      const [state] = await pg.query<{ value: string; called: boolean; first: string; reached: boolean | null }>(`
        SELECT last_value::text AS value, is_called AS called, seqmin::text AS first, (SELECT max(${one.quotedColumn}) FROM ${quoteTable(one)}) >= seqmin AS reached
          FROM ${quoteTable(sequence)}, pg_sequence WHERE seqrelid = '${quoteTable(sequence).replaceAll("'", "''")}'::regclass`)
      if (one.step < 0 || !state?.reached) continue
      const set = (value: string, called: boolean) =>
        pg.query('SELECT setval($1::regclass, $2::int8, $3)', [quoteTable(sequence), value, called])
      await set(state.first, false)
      // No rollback takes it back.
      return {
        what: `${showTable(sequence)} begins at ${state.first} again`,
        undo: async () => void (await set(state.value, state.called)),
      }
    }
    return undefined
  },
}
