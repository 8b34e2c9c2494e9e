// pg.long-statements: what has been running, or has kept a transaction open without doing anything, for longer than a request may.
import { z } from 'zod'
import { idleTransaction, longStatement } from '../activity/faults.ts'
import { type LongSession, longActivity } from '../activity/long.ts'
import { hiddenReason, statementText } from '../statement-text.ts'
import { defineProbe } from '../task.ts'

/** In seconds: shown from here on; the platform's own list begins at 5 s. */
const shownFrom = { active: 5, idle: 60 }
const most = 20

const listed = z.strictObject({
  total: z.int(),
  longestSeconds: z.number().nullable(),
  list: z.array(
    z.strictObject({
      pid: z.int(),
      role: z.string().nullable(),
      application: z.string(),
      state: z.string(),
      seconds: z.number(),
      transactionSeconds: z.number().nullable(),
      /** What it waits for; null: it works, or waits for its client. */
      waits: z.string().nullable(),
      query: z.string().nullable(),
    }),
  ),
})

export default defineProbe({
  name: 'pg.long-statements',
  summary: 'Statements that run longer than 5 s, transactions that stand idle longer than 60 s, and autovacuum at work',
  every: '10s',
  result: z.strictObject({
    statements: listed,
    idleInTransaction: listed,
    autovacuum: z.strictObject({
      total: z.int(),
      list: z.array(z.strictObject({ pid: z.int(), seconds: z.number().nullable(), query: z.string().nullable() })),
    }),
    /** Sessions that could not be judged, with the reason. */
    hidden: z.int(),
    reason: z.string().nullable(),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ statements, idleInTransaction, autovacuum }) => ({
    long_statements: statements.total,
    longest_statement_seconds: statements.longestSeconds ?? 0,
    idle_in_transaction: idleInTransaction.total,
    longest_idle_in_transaction_seconds: idleInTransaction.longestSeconds ?? 0,
    autovacuum_workers: autovacuum.total,
  }),
  async look(c) {
    const { sessions, autovacuum, hidden } = await longActivity(c.pg, shownFrom)
    const active = sessions.filter(({ state }) => state === 'active')
    const idle = sessions.filter(({ state }) => state !== 'active')
    for (const fault of [...active.map(longStatement), ...idle.map(idleTransaction)].filter(fault => fault !== null).slice(0, most))
      c.find(fault)
    return {
      statements: list(active),
      idleInTransaction: list(idle),
      autovacuum: {
        total: autovacuum.length,
        list: autovacuum.slice(0, most).map(({ query, ...worker }) => ({ ...worker, query: statementText(query) })),
      },
      hidden,
      reason: hidden ? hiddenReason : null,
    }
  },
})

const list = (sessions: LongSession[]) => ({
  total: sessions.length,
  longestSeconds: sessions[0]?.seconds ?? null,
  list: sessions.slice(0, most).map(session => ({ ...withoutSince(session), query: statementText(session.query) })),
})

const withoutSince = ({ pid, role, application, state, seconds, transactionSeconds, waits }: LongSession) => ({
  pid,
  role,
  application,
  state,
  seconds,
  transactionSeconds,
  waits,
})
