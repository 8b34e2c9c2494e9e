// The catalogue of sealed backups. The store is the truth: a row is written with the end of its run, or when a sealed manifest is found and adopted.
import type { Queryable } from './ledger.ts'

export interface Sealed {
  id: string
  run: string
  fence: number
  environment: string
  engine: string
  target: string
  kind: string
  name: string
  operation: string
  store: string
  place: string
  location: string
  bytes: number
  files: number
  createdAt: Date
  manifest: Record<string, unknown>
}
export interface ArtifactRow extends Sealed {
  verifiedAt: Date | null
  verdict: string | null
}

const insert = `
  insert into artifacts (id, run, fence, environment, engine, target, kind, name, operation, store, place, location, bytes, files, created_at, manifest)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
  on conflict (store, place) do nothing`

export const recordArtifact = (db: Queryable, a: Sealed) =>
  db.query(insert, [
    a.id,
    a.run,
    a.fence,
    a.environment,
    a.engine,
    a.target,
    a.kind,
    a.name,
    a.operation,
    a.store,
    a.place,
    a.location,
    a.bytes,
    a.files,
    a.createdAt,
    a.manifest,
  ])

const columns = `id, run, fence, environment, engine, target, kind, name, operation, store, place, location, bytes, files, created_at as "createdAt", manifest, verified_at as "verifiedAt", verdict`

export const listArtifacts = async (db: Queryable, { target, limit }: { target?: string; limit: number }): Promise<ArtifactRow[]> =>
  (
    await db.query<ArtifactRow>(
      `select ${columns} from artifacts where $1::text is null or target = $1 order by created_at desc limit $2`,
      [target ?? null, limit],
    )
  ).rows

/** Of one kind (and name) of one target, the newest first. */
export const artifactsOf = async (
  db: Queryable,
  { target, kind, name, limit }: { target: string; kind: string; name?: string | undefined; limit: number },
): Promise<ArtifactRow[]> =>
  (
    await db.query<ArtifactRow>(
      `select ${columns} from artifacts where target = $1 and kind = $2 and ($3::text is null or name = $3) order by created_at desc limit $4`,
      [target, kind, name ?? null, limit],
    )
  ).rows

/** Nothing deletes a backup while an unfinished run holds it. */
export const holdArtifact = async (db: Queryable, artifact: string, run: string): Promise<void> =>
  void (await db.query('insert into artifact_holds (artifact, run) values ($1, $2) on conflict do nothing', [artifact, run]))

/** The newest verdict of a restore check; only a pass makes a backup verified. */
export const judgeArtifact = async (db: Queryable, artifact: string, verdict: 'pass' | 'partial' | 'fail'): Promise<void> =>
  void (await db.query(
    `update artifacts set verdict = $2, verified_at = case when $2 = 'pass' then now() else verified_at end where id = $1`,
    [artifact, verdict],
  ))

export const findArtifact = async (db: Queryable, tail: string): Promise<ArtifactRow[]> =>
  tail.length < 8
    ? []
    : (
        await db.query<ArtifactRow>(
          `select ${columns} from artifacts where right(id::text, 8) = right($1, 8) and id::text like '%' || $1 limit 2`,
          [tail],
        )
      ).rows

/** The newest good backup of one operation, which a message about a failed one names. */
export const lastGood = async (
  db: Queryable,
  operation: string,
  target: string,
): Promise<{ id: string; createdAt: Date; location: string } | undefined> =>
  (
    await db.query<{ id: string; createdAt: Date; location: string }>(
      `select id, created_at as "createdAt", location from artifacts where operation = $1 and target = $2 order by created_at desc limit 1`,
      [operation, target],
    )
  ).rows[0]

export const forgetArtifact = (db: Queryable, store: string, place: string) =>
  db.query('delete from artifacts where store = $1 and place = $2', [store, place])
