// Sends what is due on one channel: takes rows, hands each message over, and closes the row with what came of it.
import type { Channel as ChannelConfig } from '@dbops/contract/config-file'
import { failureOf, Later, Permanent } from '@dbops/contract/failure'
import { closeDelivered, closeFailed, type Due, postpone, takeDue } from '@dbops/ledger/deliveries'
import type { Ledger } from '@dbops/ledger/ledger'
import { redact } from '@dbops/runtime/redact'
import type { Channel, ChannelContext } from './channel.ts'
import type { Message } from './message.ts'
import { backoff } from './retry.ts'

export const outcomes = ['delivered', 'retried', 'failed'] as const
export type Outcome = (typeof outcomes)[number]

/** Sends at a time, per channel: a receiver that hangs holds up no more than these, and no other channel. */
const atATime = 8
/** Milliseconds after which another relay may take a row whose sender has died; longer than any send lasts. */
const held = 60_000

/** One turn: what is due now, all at once. Returns the outcomes. */
export async function deliverDue(ledger: Ledger, channel: Channel, c: ChannelContext, signal: AbortSignal): Promise<Outcome[]> {
  const now = await ledger.now()
  const due = await takeDue(ledger, c.name, now, new Date(now.getTime() + held), atATime)
  return Promise.all(due.map(one => deliverOne(ledger, channel, c, one, signal)))
}

async function deliverOne(
  ledger: Ledger,
  channel: Channel,
  c: ChannelContext<ChannelConfig>,
  due: Due,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    await channel.deliver(c, due.payload as unknown as Message, signal)
  } catch (error) {
    // Stopped, not refused: the next relay sends it at once.
    if (signal.aborted) return release(ledger, due)
    return close(ledger, c, due, error)
  }
  await closeDelivered(ledger, due.key, await ledger.now())
  return 'delivered'
}

async function release(ledger: Ledger, due: Due): Promise<Outcome> {
  const now = await ledger.now()
  await postpone(ledger, due, now, now, { code: 'stopped', message: 'the relay was stopped while it sent' })
  return 'retried'
}

async function close(ledger: Ledger, { name, log }: ChannelContext, due: Due, error: unknown): Promise<Outcome> {
  const failure = failureOf(error)
  failure.message = redact(failure.message)
  const now = await ledger.now()
  const line = {
    event: 'notification_not_taken',
    channel: name,
    key: due.key,
    attempt: due.attempt,
    code: failure.code,
    hint: failure.hint,
  }
  if (error instanceof Permanent) {
    await closeFailed(ledger, due, now, failure)
    log.error(line, `${name} will not take a notification: ${failure.message}`)
    return 'failed'
  }
  const after = error instanceof Later ? error.after : backoff(due.attempt)
  const again = new Date(now.getTime() + after)
  await postpone(ledger, due, now, again, failure)
  log.warn(line, `${name} did not take a notification: ${failure.message}; again at ${again.toISOString().slice(11, 19)} UTC`)
  return 'retried'
}
