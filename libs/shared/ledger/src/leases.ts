// A name that one process holds at a time, for loops that want a single holder and stay correct without one.
import type { Queryable } from './ledger.ts'

const take = `
  insert into leases (name, holder, until) values ($1, $2, now() + $3 * interval '1 ms')
  on conflict (name) do update set holder = excluded.holder, until = excluded.until
  where leases.holder = excluded.holder or leases.until < now()
  returning name`

/** Takes or renews the lease; false while another holds it. */
export const hold = async (db: Queryable, name: string, holder: string, forMs: number): Promise<boolean> =>
  (await db.query(take, [name, holder, forMs])).rows.length > 0

export const letGo = (db: Queryable, holder: string) => db.query('delete from leases where holder = $1', [holder])
