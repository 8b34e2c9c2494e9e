// What people ask the scheduler for: written down by the asker, taken up once, answered in the transaction that does it.

import { type Failure, failureOf, Problem } from '@dbops/contract/failure'
import { v7 as uuidv7 } from 'uuid'
import type { Ledger, Queryable } from './ledger.ts'

export interface Command {
  id: string
  verb: 'run' | 'retry'
  body: Record<string, unknown>
  actor: string
}
export type Answer = { ok: true; run: string; [key: string]: unknown } | { ok: false; error: Failure; run?: string }

const insert = `
  with new as (insert into commands (id, key, verb, body, actor) values ($1, $2, $3, $4, $5) on conflict (key) do nothing returning id)
  select id, true as fresh, pg_notify('dbops_command', id::text) from new
  union all select id, false, null from commands where key = $2 and not exists (select 1 from new)`

/** Asks, and waits for the answer at most `within` ms. The same `key` is the same command: it is answered again, not done again. */
export async function ask(ledger: Ledger, command: Omit<Command, 'id'> & { key?: string }, within = 10_000): Promise<Answer> {
  let wake: () => void = () => undefined
  const stop = ledger.listen('dbops_answer', () => wake())
  try {
    const { rows } = await ledger.query<{ id: string }>(insert, [uuidv7(), command.key ?? null, command.verb, command.body, command.actor])
    const id = rows[0]!.id
    const deadline = performance.now() + within
    for (;;) {
      const heard = new Promise<void>(resolve => {
        wake = resolve
        setTimeout(resolve, 250).unref()
      })
      const { rows: answer } = await ledger.query<{ answer: Answer | null }>('select answer from commands where id = $1', [id])
      if (answer[0]?.answer) return answer[0].answer
      if (performance.now() > deadline) {
        // Nobody took it up: it is withdrawn, so that it is not done hours later behind its asker's back.
        const { rows: gone } = await ledger.query(`delete from commands where id = $1 and answered_at is null returning id`, [id])
        if (gone.length)
          throw new Problem('no scheduler answered', {
            code: 'unreachable',
            hint: 'is one running? "dbops status" shows the services; nothing was started',
          })
      }
      await heard
    }
  } finally {
    stop()
  }
}

const open = `select id, verb, body, actor from commands where answered_at is null order by created_at limit 1 for update skip locked`
const answer = `update commands set answer = $2, answered_at = now() where id = $1`

/** Takes up the oldest open command, if there is one. What `act` throws is the answer; what it did is then undone. True when there was one. */
export async function takeUp(ledger: Ledger, act: (db: Queryable, command: Command) => Promise<Answer>): Promise<boolean> {
  const taken = await ledger.transaction(async db => {
    // After the row is locked: a rollback to it keeps the lock.
    const [{ rows }] = await Promise.all([db.query<Command>(open, []), db.query('savepoint act')])
    const command = rows[0]
    if (!command) return false
    let given: Answer
    try {
      given = await act(db, command)
    } catch (error) {
      await db.query('rollback to savepoint act')
      given = { ok: false, error: failureOf(error) }
    }
    await db.query(answer, [command.id, given])
    return true
  })
  if (taken) await ledger.query(`select pg_notify('dbops_answer', '')`)
  return taken
}
