// How much room the databases take, and how much of the disk that is: asked for every few minutes only, as the server looks at every file for it.
import { parseSize } from '@dbops/contract/duration'
import { failureOf } from '@dbops/contract/failure'
import { redact } from '@dbops/runtime/redact'
import { z } from 'zod'
import type { Statements } from '../task.ts'
import type { Disk } from './local-disk.ts'

export const space = z.strictObject({
  measuredAt: z.iso.datetime(),
  databases: z.array(z.strictObject({ name: z.string(), bytes: z.int() })),
  /** Of the write-ahead log in pg_wal; null with the reason below. */
  walBytes: z.int().nullable(),
  /** Of both; null when nothing could be measured. Logs and temporary files are not in it: no function of the server tells them to all roles. */
  usedBytes: z.int().nullable(),
  /** What is missing above, and why. */
  reason: z.string().nullable(),
})
export type Space = z.infer<typeof space>

/** How old a measurement may become, in ms. */
const keptFor = 5 * 60_000
/** The largest databases are told one by one, the rest in the sum alone. */
const mostDatabases = 50

// A hung file system must not make a server look dead that answers.
const limitStatements = `SELECT set_config('statement_timeout', '2s', false)`
// Without CONNECT and without pg_read_all_stats the function is an error.
const measureDatabases = `
  SELECT datname AS name, CASE WHEN visible THEN pg_database_size(oid)::float8 END AS bytes
    FROM pg_database
   CROSS JOIN LATERAL (SELECT has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') AS visible) AS may
   ORDER BY bytes DESC NULLS LAST`
// Asked before, so that the server's log has no error every few minutes where it may not.
const mayMeasureWal = `SELECT has_function_privilege('pg_ls_waldir()', 'EXECUTE') AS may`
const measureWal = `SELECT sum(size)::float8 AS bytes FROM pg_ls_waldir()`

/** The last measurement while it is fresh, else a new one. Never throws for what the server refuses: that is the measurement's reason. */
export async function spaceOf(pg: Statements, last: Space | undefined, signal: AbortSignal): Promise<Space> {
  if (last && Date.now() - Date.parse(last.measuredAt) < keptFor) return last
  await pg.query(limitStatements)
  const sizes = await tried(pg, measureDatabases, signal)
  const [{ may }] = (await pg.query<{ may: boolean }>(mayMeasureWal)) as [{ may: boolean }]
  const wal = may ? await tried(pg, measureWal, signal) : { rows: [], error: 'the role may not measure it: GRANT pg_monitor to it' }
  const seen = sizes.rows.filter(({ bytes }) => bytes !== null) as { name: string; bytes: number }[]
  const hidden = sizes.rows.length - seen.length
  const walBytes = wal.rows[0]?.bytes ?? null
  const reasons = [
    sizes.error && `sizes of databases: ${sizes.error}`,
    hidden > 0 && `the role may not measure ${hidden} of ${sizes.rows.length} databases: GRANT pg_read_all_stats to it`,
    wal.error && `size of pg_wal: ${wal.error}`,
  ].filter(reason => typeof reason === 'string')
  return {
    measuredAt: new Date().toISOString(),
    databases: seen.slice(0, mostDatabases),
    walBytes,
    usedBytes: sizes.error ? null : seen.reduce((sum, { bytes }) => sum + bytes, walBytes ?? 0),
    reason: reasons.length ? reasons.join('; ') : null,
  }
}

async function tried(pg: Statements, sql: string, signal: AbortSignal) {
  try {
    return { rows: await pg.query<{ name: string; bytes: number | null }>(sql) }
  } catch (error) {
    signal.throwIfAborted()
    return { rows: [], error: redact(failureOf(error).message) }
  }
}

export const diskUsage = z.strictObject({
  percent: z.number().nullable(),
  usedBytes: z.int().nullable(),
  totalBytes: z.int().nullable(),
  /** Who says how large the disk is: `promised` is the target's key `disk`, against databases and write-ahead log; `statfs` the file system itself. */
  source: z.enum(['promised', 'statfs', 'provider']).nullable(),
  reason: z.string().nullable(),
})

/** Databases and write-ahead log against the promised size of the disk, or else what the file system says. */
export function usageOf({ usedBytes, reason }: Space, disk: string | undefined, local: Disk | null): z.infer<typeof diskUsage> {
  if (!disk && local) return { ...local, source: 'statfs', reason: null }
  if (!disk)
    return {
      percent: null,
      usedBytes,
      totalBytes: null,
      source: null,
      reason: 'PostgreSQL cannot tell the size of its disk: say it in the target, `disk: 100GiB`',
    }
  const totalBytes = parseSize(disk)
  const percent = usedBytes === null || totalBytes === 0 ? null : Math.round((usedBytes / totalBytes) * 1_000) / 10
  return { percent, usedBytes, totalBytes, source: 'promised', reason }
}
