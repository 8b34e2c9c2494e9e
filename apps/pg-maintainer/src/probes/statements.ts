// pg.statements: what statements cost since the last reading, by the differences of pg_stat_statements. Nothing is ever reset.
import { parseDuration } from '@dbops/contract/duration'
import { type Counted, lastCounted, type ServerState, saveStatements, trimStatements } from '@dbops/ledger/statements'
import { redact } from '@dbops/runtime/redact'
import { withoutLiterals } from '@dbops/runtime/without-literals'
import { z } from 'zod'
import { difference } from '../statements/difference.ts'
import { usable } from '../statements/usable.ts'
import { defineProbe } from '../task.ts'

/** Windows are kept this long; some 300 a day and target. */
const keep = parseDuration('14d')
/** Of a stored text, in characters. */
const textRoom = 1_000
/** A finding about entries that were thrown out stands this long after the last time. */
const evictionsStand = parseDuration('24h')

// Before the counters: what is reset in between is then noticed with the next reading at the latest.
const readState = (schema: string) => `
  SELECT stats_reset AS "statsReset", dealloc::float8 AS dealloc FROM ${schema}.pg_stat_statements_info`
// (false): the file with the texts is not read.
const readCounters = (schema: string) => `
  SELECT queryid::text AS queryid, toplevel, userid::text AS userid, dbid::text AS dbid, calls::float8 AS calls, total_exec_time AS "totalMs", max_exec_time AS "maxMs",
         rows::float8 AS rows, shared_blks_hit::float8 AS hit, shared_blks_read::float8 AS read, shared_blks_dirtied::float8 AS dirtied,
         (temp_blks_read + temp_blks_written)::float8 AS temp, wal_bytes::float8 AS wal
    FROM ${schema}.pg_stat_statements(false)
   WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid IS NOT NULL`
const readTexts = (schema: string) => `
  SELECT DISTINCT ON (queryid) queryid::text AS queryid, left(query, 20000) AS query
    FROM ${schema}.pg_stat_statements(true)
   WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND queryid = ANY ($1::bigint[])`
const readRoles = `SELECT oid::text AS userid, rolname::text AS role FROM pg_roles WHERE oid = ANY ($1::oid[])`

export default defineProbe({
  name: 'pg.statements',
  summary: 'What statements cost since the last reading: calls, time, rows, blocks, WAL (`dbops top`)',
  every: '5m',
  timeout: '60s',
  result: z.strictObject({
    /** Why there are no figures; null: there are. */
    reason: z.string().nullable(),
    /** Entries of this database, and how many the server has room for. */
    statements: z.int().nullable(),
    max: z.int().nullable(),
    /** Since the last reading; null with the first one. Top level only, ours included. */
    window: z
      .strictObject({
        since: z.iso.datetime(),
        until: z.iso.datetime(),
        moved: z.int(),
        calls: z.number(),
        totalMs: z.number(),
        /** Why it is incomplete. */
        missing: z.array(z.string()),
      })
      .nullable(),
    /** As whom we read, and whether others work as the same role: then its statements cannot be told apart. */
    role: z.string().nullable(),
    shared: z.boolean(),
    /** When entries were last seen to be thrown out, and how many times since the server's reset. */
    evictedAt: z.iso.datetime().nullable(),
    evictions: z.number().nullable(),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ statements, max, window, evictions }) => ({
    statements,
    statements_max: max,
    statements_evictions: evictions,
    statements_window_calls: window && window.calls,
    statements_window_time_seconds: window && window.totalMs / 1_000,
    statements_window_incomplete: window && Math.min(1, window.missing.length),
  }),
  async look(c) {
    const extension = await usable(c.pg)
    if ('key' in extension) {
      c.find(extension)
      const none = { statements: null, max: null, window: null, role: null, shared: false, evictedAt: null, evictions: null }
      return { reason: extension.what, ...none }
    }
    const { schema, role, max } = extension
    const last = await lastCounted(c.ledger, c.target)
    const [state] = await c.pg.query<ServerState>(readState(schema))
    const counted = await c.pg.query<Counted>(readCounters(schema))
    const { changed, missing, evictions } = difference(last, state!, counted)

    const fresh = changed.filter(({ id }) => id === null)
    const texts = fresh.length
      ? await c.pg.query<{ queryid: string; query: string }>(readTexts(schema), [[...new Set(fresh.map(({ queryid }) => queryid))]])
      : []
    const roles = fresh.length
      ? await c.pg.query<{ userid: string; role: string }>(readRoles, [[...new Set(fresh.map(({ userid }) => userid))]])
      : []
    const since = last.reading?.at ?? null
    c.keep(async db => {
      const isOurs = await saveStatements(db, {
        ...state!,
        target: c.target,
        since,
        at: last.now,
        missing,
        changed,
        texts: texts.map(({ queryid, query }) => ({ queryid, text: redact(withoutLiterals(query, textRoom)) })),
        roles: new Map(roles.map(one => [one.userid, one.role])),
      })
      if (isOurs && hour(last.now) !== hour(since)) await trimStatements(db, c.target, new Date(last.now.getTime() - keep))
    })

    const before = c.last?.result
    const evictedAt = evictions ? last.now.toISOString() : (before?.evictedAt ?? null)
    if (evictedAt && last.now.getTime() - Date.parse(evictedAt) < evictionsStand)
      c.find({
        key: 'evictions',
        level: 'warning',
        what: `more statements run than the server counts (pg_stat_statements.max is ${max}): those that it throws out are missing in what \`dbops top\` shows`,
        sql: `ALTER SYSTEM SET pg_stat_statements.max = ${max * 2}`,
        hint: 'takes effect with the next restart; on RDS: the parameter group',
        evidence: { evictions: state!.dealloc, lastSeen: evictedAt, entries: counted.length },
      })
    const topLevel = changed.flatMap(({ toplevel, rose }) => (toplevel && rose ? [rose] : []))
    return {
      reason: null,
      statements: counted.length,
      max,
      window: since && {
        since: since.toISOString(),
        until: last.now.toISOString(),
        moved: changed.filter(({ rose }) => rose).length,
        calls: topLevel.reduce((sum, { calls }) => sum + calls, 0),
        totalMs: topLevel.reduce((sum, { totalMs }) => sum + totalMs, 0),
        missing,
      },
      role,
      // Whoever was seen once may come back.
      shared: extension.shared || (before?.role === role && before.shared),
      evictedAt,
      evictions: state!.dealloc,
    }
  },
})

const hour = (at: Date | null) => at && Math.floor(at.getTime() / 3_600_000)
