// pg.locks: who waits for a lock, for how long, and which transaction at the root all of them wait for.
import { z } from 'zod'
import { root, wait } from '../locks/facts.ts'
import { faultOf } from '../locks/fault.ts'
import { treeOf } from '../locks/tree.ts'
import { type Participant, type PreparedTransaction, waitsOf } from '../locks/waits.ts'
import { statementText } from '../statement-text.ts'
import { defineProbe } from '../task.ts'

const mostRoots = 10
const mostWaits = 50

export default defineProbe({
  name: 'pg.locks',
  summary: 'Waits for locks as a tree: root blockers with their transaction, true wait times',
  every: '10s',
  result: z.strictObject({
    /** Sessions of this database that wait for a lock, also where not all are listed. */
    waiting: z.int(),
    longestWaitSeconds: z.number().nullable(),
    roots: z.array(root),
    waits: z.array(wait),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ waiting, longestWaitSeconds, roots }) => ({
    lock_waiters: waiting,
    lock_longest_wait_seconds: longestWaitSeconds ?? 0,
    lock_root_blockers: roots.length,
  }),
  async look(c) {
    const { waiting, waiters, participants, prepared } = await waitsOf(c.pg)
    const { placed, roots } = treeOf(waiters)
    const facts = roots.slice(0, mostRoots).map(({ pid, ...root }) => {
      const { startedAt, transactionSeconds, stateSeconds, ...who } = show(pid, participants, prepared)
      return { ...who, transactionSeconds, stateSeconds, transactionStartedAt: startedAt?.toISOString() ?? null, ...root }
    })
    for (const fact of facts) {
      const fault = faultOf(fact, prepared)
      if (fault) c.find(fault)
    }
    return {
      waiting,
      longestWaitSeconds: waiters.length ? Math.max(...waiters.map(({ seconds }) => seconds)) : null,
      roots: facts,
      waits: placed.slice(0, mostWaits).map(({ pid, blockers, seconds, ...rest }) => {
        const { startedAt: _, transactionSeconds: __, stateSeconds: ___, ...who } = show(pid, participants, prepared)
        const { mode, on } = waiters.find(waiter => waiter.pid === pid)!
        return { ...who, waitSeconds: seconds, mode, on, blockedBy: blockers, ...rest }
      }),
    }
  },
})

/** Somebody who is gone by now is shown by number alone. */
function show(pid: number, participants: Map<number, Participant>, prepared: PreparedTransaction[]) {
  const { role, application, kind, state, query, startedAt, transactionSeconds, stateSeconds } = participants.get(pid) ?? {
    role: prepared[0]?.role ?? null,
    application: '',
    kind: pid === 0 ? 'prepared transaction' : null,
    state: null,
    query: null,
    startedAt: prepared[0]?.at ?? null,
    transactionSeconds: prepared[0]?.seconds ?? null,
    stateSeconds: null,
  }
  return { pid, role, application, kind, state, query: statementText(query), startedAt, transactionSeconds, stateSeconds }
}
