// What people ask the scheduler for: written down by the asker, taken up once, answered in the transaction that does it.

import { type Failure, failureOf, Problem } from '@dbops/contract/failure'
import { v7 as uuidv7 } from 'uuid'
import type { Ledger, Queryable } from './ledger.ts'

/** `run` and `retry` bear a run, `approve` and `reject` answer one that waits for it; the rest is carried out by runtime/deeds.ts. */
export const verbs = [
  'run',
  'retry',
  'approve',
  'reject',
  'cancel',
  'pause',
  'resume',
  'resolve',
  'acknowledge',
  'replay',
  'drop',
  'release',
] as const

export interface Command {
  id: string
  verb: (typeof verbs)[number]
  body: Record<string, unknown>
  actor: string
  /** The login role that wrote it. A person's command bears that role as its actor; services write under the names that they were told. */
  role: string
}
/** To a command that bears or frees a run, its id; to a deed, what came of it. */
export type Answer<Good extends object = { run: string }> = ({ ok: true } & Good) | { ok: false; error: Failure; run?: string }

const insert = `
  with new as (insert into commands (id, key, verb, body, actor) values ($1, $2, $3, $4, $5) on conflict (key) do nothing returning id)
  select id, true as same, pg_notify('dbops_command', id::text) from new
  union all select id, verb = $3 and body = $4, null from commands where key = $2 and not exists (select 1 from new)`

/** Asks, and waits for the answer at most `within` ms. The same `key` is the same command: it is answered again, not done again. Throws `key_reused` when it was another one. */
export async function ask<Good extends object = { run: string }>(
  ledger: Ledger,
  command: Omit<Command, 'id' | 'role'> & { key?: string },
  within = 10_000,
): Promise<Answer<Good>> {
  let wake: () => void = () => undefined
  const stop = ledger.listen('dbops_answer', () => wake())
  try {
    const deadline = performance.now() + within
    const put = async () => {
      const values = [uuidv7(), command.key ?? null, command.verb, command.body, command.actor]
      return (await ledger.query<{ id: string; same: boolean }>(insert, values)).rows[0]
    }
    // Twice: another's command of the same key, written at the same moment, is seen by the next statement only.
    const mine = (await put()) ?? (await put())
    if (!mine) throw noAnswer()
    if (!mine.same)
      throw new Problem(`the key "${command.key}" was used for another command`, {
        code: 'key_reused',
        hint: 'take a key of its own for each command; the first one stands as it is',
      })
    const { id } = mine
    for (;;) {
      const heard = new Promise<void>(resolve => {
        wake = resolve
        setTimeout(resolve, 250).unref()
      })
      const { rows: answer } = await ledger.query<{ answer: Answer<Good> | null }>('select answer from commands where id = $1', [id])
      if (!answer.length) throw noAnswer() // withdrawn by another who asked under the same key
      if (answer[0]!.answer) return answer[0]!.answer
      if (performance.now() > deadline) {
        // Nobody took it up: it is withdrawn, so that it is not done hours later behind its asker's back.
        const { rows: gone } = await ledger.query(`delete from commands where id = $1 and answered_at is null returning id`, [id])
        if (gone.length) throw noAnswer()
      }
      await heard
    }
  } finally {
    stop()
  }
}

const noAnswer = () =>
  new Problem('no scheduler answered', {
    code: 'unreachable',
    hint: 'is one running? "dbops status" shows the services; nothing was started',
  })

// An asker that died could not withdraw its command: hours later nobody expects it to be done.
const open = `
  select id, verb, body, actor, role, created_at < now() - interval '1 minute' as stale
  from commands where answered_at is null order by created_at limit 1 for update skip locked`
const stale: Answer<object> = {
  ok: false,
  error: { code: 'not_taken_up', message: 'no scheduler took it up within a minute; nothing was started' },
}
const answer = `update commands set answer = $2, answered_at = now() where id = $1`

/** Takes up the oldest open command, if there is one. What `act` throws is the answer; what it did is then undone. True when there was one. */
export async function takeUp(ledger: Ledger, act: (db: Queryable, command: Command) => Promise<Answer<object>>): Promise<boolean> {
  const taken = await ledger.transaction(async db => {
    // After the row is locked: a rollback to it keeps the lock.
    const [{ rows }] = await Promise.all([db.query<Command & { stale: boolean }>(open, []), db.query('savepoint act')])
    const command = rows[0]
    if (!command) return false
    let given: Answer<object>
    try {
      given = command.stale ? stale : await act(db, command)
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

const trim = `delete from commands where ctid = any (array(select ctid from commands where answered_at < $1 order by answered_at limit 5000))`
/** Deletes some of those that were answered before; their keys are free again. Answers how many. */
export const trimCommands = async (db: Queryable, before: Date): Promise<number> => (await db.query(trim, [before])).rowCount ?? 0

/** What another service may ask for. */
export const signedVerbs = ['run', 'retry', 'cancel', 'pause', 'resume'] as const
export type SignedVerb = (typeof signedVerbs)[number]

const insertSigned = `
  insert into commands (id, key, verb, body, actor, entry, answer, answered_at) values ($1, $2, $3, $4, $5, $6, $7, now()) on conflict (key) do nothing`
const signedBefore = `select entry, answer ->> 'run' as run from commands where key = $1`

/** The entry of the stream that was this command before, with the run that came of it. `key`: its sender's, and its own id, which is used once. */
export const signedOnce = async (db: Queryable, key: string): Promise<{ entry: string; run: string | null } | undefined> =>
  (await db.query<{ entry: string; run: string | null }>(signedBefore, [`signed:${key}`])).rows[0]

/** Writes a signed command down with its answer, in the transaction that carried it out. False: another has just done so, and this one is to be undone. */
export const recordSigned = async (
  db: Queryable,
  c: { key: string; verb: SignedVerb; body: Record<string, unknown>; actor: string; entry: string; answer: Answer<object> },
): Promise<boolean> =>
  (await db.query(insertSigned, [uuidv7(), `signed:${c.key}`, c.verb, c.body, c.actor, c.entry, c.answer])).rowCount === 1
