// What a person does beside asking for runs: ends a run, pauses, ends an alert, acknowledges a finding. Whoever may write the ledger carries it out: the scheduler for a
// person's login, the command line itself where it has the services' own.

import { Refused } from '@dbops/contract/failure'
import { resolveByHand, timeOf } from '@dbops/ledger/alerts'
import { recordDeed } from '@dbops/ledger/audit'
import { dropLetter, replay } from '@dbops/ledger/dead-letters'
import { acknowledge } from '@dbops/ledger/findings'
import type { Queryable } from '@dbops/ledger/ledger'
import { pause, resume, scopes } from '@dbops/ledger/pauses'
import { endWaiting, find, isFinal, isRecovered, lockRunning, lose, requestCancel } from '@dbops/ledger/runs'
import { z } from 'zod'
import { endEvent, endEvents, lostEvent, type Teller } from './run-events.ts'

export interface By {
  actor: string
  teller: Teller
}
const scope = { scope: z.enum(scopes), name: z.string().nullable() }

const bodies = {
  cancel: z.strictObject({ run: z.uuid() }),
  pause: z.strictObject({ ...scope, until: z.coerce.date() }),
  resume: z.strictObject(scope),
  resolve: z.strictObject({ alert: z.uuid() }),
  replay: z.strictObject({ letters: z.array(z.uuid()).min(1).max(10_000) }),
  drop: z.strictObject({ letters: z.array(z.uuid()).min(1).max(10_000), reason: z.string().trim().min(1).max(500) }),
  release: z.strictObject({ run: z.uuid(), reason: z.string().trim().min(1).max(500), force: z.boolean() }),
  acknowledge: z.strictObject({ finding: z.uuid(), note: z.string().nullable() }),
}
export type Deed = keyof typeof bodies
export type DeedBody<D extends Deed> = z.input<(typeof bodies)[D]>
export const isDeed = (word: string): word is Deed => Object.hasOwn(bodies, word)

/** What came of it: `asked` of a cancellation is true when a process has the run in hand and is to be waited for; `done` is false when there was nothing left to do. */
export interface Done {
  done: boolean
  asked?: boolean
  lifted?: number
  /** Of a replay. */
  replayed?: number
  /** Of a drop. */
  dropped?: number
  /** Of a pause. */
  id?: string
}

/** In the caller's transaction, with its row in the audit. Throws a ZodError for a body that is not the deed's. */
export async function carryOut(db: Queryable, deed: Deed, body: unknown, by: By): Promise<Done> {
  const { actor } = by
  switch (deed) {
    case 'cancel':
      return cancel(db, bodies.cancel.parse(body).run, by)
    case 'pause':
      return { done: true, id: await pause(db, { ...bodies.pause.parse(body), actor }) }
    case 'resume': {
      const lifted = await resume(db, { ...bodies.resume.parse(body), actor })
      return { done: lifted > 0, lifted }
    }
    case 'replay': {
      let replayed = 0
      for (const letter of bodies.replay.parse(body).letters) {
        if (!(await replay(db, letter, actor))) continue
        replayed++
        await recordDeed(db, { actor, action: 'replay', subject: letter, detail: {} })
      }
      return { done: replayed > 0, replayed }
    }
    case 'drop': {
      const { letters, reason } = bodies.drop.parse(body)
      let dropped = 0
      for (const letter of letters) {
        if (!(await dropLetter(db, letter, actor, reason))) continue
        dropped++
        await recordDeed(db, { actor, action: 'drop', subject: letter, detail: { reason } })
      }
      return { done: dropped > 0, dropped }
    }
    case 'release':
      return release(db, bodies.release.parse(body), by)
    case 'resolve':
      return { done: await resolveByHand(db, bodies.resolve.parse(body).alert, actor, await timeOf(db)) }
    case 'acknowledge': {
      const { finding, note } = bodies.acknowledge.parse(body)
      return { done: await acknowledge(db, finding, actor, note) }
    }
  }
}

/** One that waits ends here; one that works is asked to. A run that changes hands meanwhile is looked at again. */
async function cancel(db: Queryable, id: string, { actor, teller }: By): Promise<Done> {
  const error = { code: 'cancelled', message: `cancelled by ${actor}` }
  for (;;) {
    const [run] = await find(db, id)
    if (!run || isFinal(run.state)) return { done: false }
    const works = run.state === 'running'
    const events = run.mode === 'do' ? endEvents(teller, run, 'cancelled', error) : []
    if (!(works ? await requestCancel(db, id, actor) : await endWaiting(db, run, 'cancelled', error, events))) continue
    await recordDeed(db, { actor, action: 'cancel', subject: id, detail: { state: run.state, operation: run.operation } })
    return { done: true, asked: works }
  }
}

/**
 * Break-glass: takes a run from the process that has it in hand, as the reaper would once its lease is over, and ends it: outcome unknown. Its locks are free in the same
 * transaction, or with the recovery that puts the world back first; its sessions are ended before the next work on that target begins. Refused while its lease is fresh,
 * without `force`: then its process lives, and `cancel` is the way.
 */
async function release(
  db: Queryable,
  { run: id, reason, force }: { run: string; reason: string; force: boolean },
  { actor, teller }: By,
): Promise<Done> {
  const found = await lockRunning(db, id)
  if (!found) return { done: false }
  const { run, isFresh } = found
  if (isFresh && !force)
    throw new Refused(`run ${id.slice(-8)} is in the hands of ${run.worker ?? 'a process'}, whose lease is fresh`, {
      hint: `dbops cancel ${id.slice(-8)} asks it to stop; --force takes the run from it all the same`,
    })
  const error = {
    code: 'released_by_hand',
    message: `taken from ${run.worker ?? 'its process'} by ${actor}: ${reason}; the outcome is unknown`,
    hint: 'look at the target before you retry',
  }
  const event = run.mode !== 'do' ? [] : [isRecovered(run) ? lostEvent(teller, run, error) : endEvent(teller, run, 'failed', error)]
  await lose(db, run, { to: 'failed', error }, event)
  await recordDeed(db, {
    actor,
    action: 'release',
    subject: id,
    detail: { reason, force, worker: run.worker, fence: run.fence, operation: run.operation },
  })
  return { done: true }
}
