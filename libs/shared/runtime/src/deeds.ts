// What a person does beside asking for runs: ends a run, pauses, ends an alert, acknowledges a finding. Whoever may write the ledger carries it out: the scheduler for a
// person's login, the command line itself where it has the services' own.
import { resolveByHand, timeOf } from '@dbops/ledger/alerts'
import { recordDeed } from '@dbops/ledger/audit'
import { acknowledge } from '@dbops/ledger/findings'
import type { Queryable } from '@dbops/ledger/ledger'
import { pause, resume, scopes } from '@dbops/ledger/pauses'
import { endWaiting, find, isFinal, requestCancel } from '@dbops/ledger/runs'
import { z } from 'zod'
import { endEvents, type Teller } from './run-events.ts'

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
