// What was read of the platform's streams: how far, what takes effect for the first time, and what was set aside.
import type { LedgerAccess } from '@dbops/contract/task'
import type { Queryable } from './ledger.ts'

/** An entry of `ingest:` as the ledger knows it. Another stream or target under the same name is another one, and begins anew. */
export interface IngestPlace {
  name: string
  target: string
  stream: string
}
const positionOf = `select position from ingest_positions where name = $1 and target = $2 and stream = $3`
/** No entry up to this one is unacknowledged; undefined before the first look. */
export const ingestPosition = async (db: Queryable, { name, target, stream }: IngestPlace): Promise<string | undefined> =>
  (await db.query<{ position: string }>(positionOf, [name, target, stream])).rows[0]?.position

const begin = `
  insert into ingest_positions (name, target, stream, position) values ($1, $2, $3, $4)
  on conflict (name) do update set target = excluded.target, stream = excluded.stream, position = excluded.position, moved_at = now()
    where (ingest_positions.target, ingest_positions.stream) is distinct from (excluded.target, excluded.stream)`
/** The position that reading begins after. Of two replicas the first one says it; both get it. */
export async function beginIngest(db: Queryable, place: IngestPlace, position: string): Promise<string> {
  await db.query(begin, [place.name, place.target, place.stream, position])
  return (await ingestPosition(db, place)) ?? position
}

// Ids are <ms>-<n>, both up to 64 bits without a sign.
const order = (id: string) => `(split_part(${id}, '-', 1)::numeric, split_part(${id}, '-', 2)::numeric)`
const move = `update ingest_positions set position = $2, moved_at = now() where name = $1 and ${order('position')} < ${order('$2::text')}`
/** Forward only: replicas share a group. */
export const moveIngest = (db: Queryable, name: string, position: string) => db.query(move, [name, position])

/** The stream was made anew with lower ids than were read before. */
export const restartIngest = (db: Queryable, name: string, position: string) =>
  db.query('update ingest_positions set position = $2, moved_at = now() where name = $1', [name, position])

export interface DeadLetter {
  entry: string
  kind: string
  reason: string
  excerpt: string
}
const setAside = `
  insert into ingest_dead_letters (name, entry, kind, reason, excerpt)
  select $1, d.entry, d.kind, d.reason, d.excerpt from jsonb_to_recordset($2::jsonb) as d (entry text, kind text, reason text, excerpt text)
  on conflict (name, entry) do nothing`
const keepNewest = `
  delete from ingest_dead_letters where name = $1
    and n <= (select n from ingest_dead_letters where name = $1 order by n desc offset 1000 limit 1)`
/** Keeps entries that are no events for a person to look at, the newest thousand of each ingest. */
export async function setAsideEntries(db: Queryable, name: string, dead: DeadLetter[]): Promise<void> {
  if (!dead.length) return
  await db.query(setAside, [name, JSON.stringify(dead)])
  await db.query(keepNewest, [name])
}

export interface Rejected {
  kind: string
  entries: number
  newest: DeadLetter & { at: Date }
}
const rejectedSince = `
  select kind, count(*)::int as entries, max(n) as n from ingest_dead_letters where name = $1 and at > now() - $2 * interval '1 ms' group by kind order by kind`
/** What was set aside within so many milliseconds, by kind. */
export async function rejectedWithin(db: LedgerAccess, name: string, ms: number): Promise<Rejected[]> {
  const { rows } = await db.query<{ kind: string; entries: number; n: number }>(rejectedSince, [name, ms])
  return Promise.all(
    rows.map(async ({ kind, entries, n }) => ({
      kind,
      entries,
      newest: (await db.query<Rejected['newest']>('select entry, kind, reason, excerpt, at from ingest_dead_letters where n = $1', [n]))
        .rows[0]!,
    })),
  )
}
