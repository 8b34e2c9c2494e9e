// From an episode to its notifications: the routes name the channels, and for each the stages decide, in this order, whether it is told.
import { type Episode, recordDecision } from '@dbops/ledger/alerts'
import { channelsTold } from '@dbops/ledger/deliveries'
import type { Queryable } from '@dbops/ledger/ledger'
import { channelsFor, type Rules } from './routes.ts'
import { isSent, type Notice, type Reason, type Stage } from './stage.ts'
import { dedup } from './stages/dedup.ts'
import { inhibit } from './stages/inhibit.ts'
import { limit } from './stages/limit.ts'
import { send } from './stages/send.ts'

export const stages: readonly Stage[] = [inhibit, dedup, limit, send]

/**
 * Decides for every channel of an episode; in the caller's transaction. Each decision is recorded where an event asked for it (`event`: its id); when the relay
 * looks again by itself, only what is sent.
 */
export async function tell(db: Queryable, episode: Episode, rules: Rules, now: Date, event?: string): Promise<Reason[]> {
  const record = (reason: Reason, channel?: string) =>
    recordDecision(db, { at: now, fingerprint: episode.fingerprint, episode: episode.id, channel, event, reason })
  const channels = await channelsOf(db, episode, rules)
  if (!channels.size) {
    const reason = episode.state === 'firing' ? 'no_route' : 'never_told'
    if (event) await record(reason)
    return [reason]
  }
  const reasons: Reason[] = []
  for (const [channel, repeat] of channels) {
    const reason = await through(db, { episode, channel, repeat, now, why: 'first', nth: 0 })
    if (event || isSent(reason)) await record(reason, channel)
    reasons.push(reason)
  }
  return reasons
}

/** A resolution goes to those who were told, whatever the routes say now. */
async function channelsOf(db: Queryable, episode: Episode, rules: Rules): Promise<Map<string, number>> {
  if (episode.state === 'firing') return channelsFor(rules, episode)
  return new Map((await channelsTold(db, episode.id)).map(channel => [channel, 0]))
}

async function through(db: Queryable, notice: Notice): Promise<Reason> {
  let going = notice
  for (const stage of stages) {
    const outcome = await stage(db, going)
    if (typeof outcome === 'string') return outcome
    going = outcome
  }
  throw new Error('the last stage ends every notice')
}
