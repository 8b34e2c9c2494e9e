// The run that somebody means by the last characters of its id.
import type { Queryable } from '@dbops/ledger/ledger'
import { find, type Run } from '@dbops/ledger/runs'
import { Failed } from '../fail.ts'

/** By its last 8 characters or more, up to the whole. Fails with exit 2 for none and for several. */
export const findRun = (db: Queryable, text: string): Promise<Run> => findOne('run', text, './dbops runs', id => find(db, id))

/** The one thing whose id ends in `text`; `find` returns at most two. `listedBy` is the command that lists such things. */
export async function findOne<Thing extends { id: string }>(
  noun: string,
  text: string,
  listedBy: string,
  find: (id: string) => Promise<Thing[]>,
): Promise<Thing> {
  const id = text.toLowerCase()
  if (!/^[0-9a-f-]{8,36}$/.test(id))
    throw new Failed('wrong', `"${text}" is no id of a ${noun}`, {
      code: 'bad_id',
      hint: `its last 8 characters will do; ${listedBy} shows them`,
    })
  const [first, second] = await find(id)
  if (!first) throw new Failed('wrong', `there is no ${noun} ${text}`, { code: `unknown_${noun}`, hint: `${listedBy} shows them` })
  if (second)
    throw new Failed('wrong', `${text} is ambiguous: ${first.id} and ${second.id} end in it`, {
      code: 'ambiguous_id',
      hint: 'give more of its end, or the whole',
    })
  return first
}
