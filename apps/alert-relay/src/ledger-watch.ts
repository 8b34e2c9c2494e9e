// Says that the ledger does not answer: nothing is born, claimed or recorded meanwhile, and every other notification is read from it. Needs no more than the configuration.
import { parseDuration } from '@dbops/contract/duration'
import { type Failure, failureOf } from '@dbops/contract/failure'
import type { AlertState } from '@dbops/ledger/alerts'
import { publish } from '@dbops/ledger/outbox'
import { redact } from '@dbops/runtime/redact'
import type { Service } from '@dbops/runtime/service'
import type { Channel, ChannelType } from './channel.ts'
import type { Message } from './message.ts'
import { channelsFor } from './routes.ts'
import { lookHere } from './templates/en/words.ts'

/** How long it may be away before somebody is told (architecture.md, "When the ledger is away"), and how often that is repeated. */
const patience = parseDuration('30s')
const repeat = parseDuration('15m')
/** ms. */
const answersWithin = 2_000

const alert = { name: 'ledger_unreachable', severity: 'critical', target: null } as const

interface Outage {
  since: Date
  error: Failure
  /** By channel, when it was told last. */
  told: Map<string, Date>
}

type Needs = Pick<Service, 'config' | 'ledger' | 'log' | 'signal' | 'event'>

/** One look per call, at `now`. Throws nothing: a channel that does not take the message is tried again at the next look. */
export function ledgerWatch(s: Needs, channels: Map<ChannelType, Channel>): (now: Date) => Promise<void> {
  let outage: Outage | undefined
  const send = async (name: string, message: Message): Promise<boolean> => {
    const config = s.config.alerts.channels[name]!
    try {
      await channels.get(config.type)!.deliver({ name, config, path: `alerts.channels.${name}`, log: s.log }, message, s.signal)
      return true
    } catch (error) {
      s.log.warn({ event: 'notification_not_taken', channel: name, key: message.alert.key }, redact((error as Error).message))
      return false
    }
  }
  return async now => {
    const error = await faultOf(s)
    if (s.signal.aborted) return
    if (error) {
      outage ??= { since: now, error, told: new Map() }
      if (now.getTime() - outage.since.getTime() < patience) return
      for (const name of channelsFor(s.config, alert).keys()) {
        const last = outage.told.get(name)
        if (last && now.getTime() - last.getTime() < repeat) continue
        if (await send(name, messageOf(outage, 'firing', now, s.config.environment))) outage.told.set(name, now)
      }
      return
    }
    if (!outage) return
    for (const name of outage.told.keys())
      if (await send(name, messageOf(outage, 'resolved', now, s.config.environment))) outage.told.delete(name)
    if (outage.told.size) return
    const data = { since: outage.since.toISOString(), until: now.toISOString(), error: outage.error }
    const wasLong = now.getTime() - outage.since.getTime() >= patience
    outage = undefined
    if (wasLong)
      await publish(s.ledger, [s.event({ event: 'ledger_recovered', subject: 'pg/ledger', operation: 'ledger', data })]).catch(
        () => undefined,
      )
  }
}

/** In a session of its own: a pool in which all wait is another matter. */
async function faultOf({ ledger }: Needs): Promise<Failure | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${answersWithin / 1_000} s`)), answersWithin)
  })
  try {
    await Promise.race([ledger.apart.query('select 1'), late])
    return undefined
  } catch (error) {
    const failure = failureOf(error)
    return { ...failure, message: redact(failure.message) }
  } finally {
    clearTimeout(timer)
  }
}

/** The key is of a quarter of an hour: relays that stand side by side, or one that was started anew, send the same. */
function messageOf({ since, error }: Outage, state: AlertState, now: Date, environment: string): Message {
  const of = state === 'firing' ? Math.floor(now.getTime() / repeat) : Math.floor(since.getTime() / 1_000)
  const message = {
    alert: {
      id: alert.name,
      fingerprint: `${alert.name}/${environment}`,
      name: alert.name,
      severity: alert.severity,
      state,
      since: since.toISOString(),
      resolvedAt: state === 'resolved' ? now.toISOString() : null,
      endedBy: null,
      episode: 1,
      failures: 1,
      key: `${alert.name}:${environment}:${state}:${of}`,
      repeat: state === 'firing' ? Math.floor((now.getTime() - since.getTime()) / repeat) : 0,
    },
    environment,
    engine: 'pg',
    target: null,
    operation: 'ledger',
    error,
    run: null,
    lastGood: null,
    event: '',
  }
  return { ...message, text: state === 'firing' ? firing(message) : `Resolved: the ledger answers again, after ${minutes(since, now)}.` }
}

const firing = (m: Pick<Message, 'alert' | 'error' | 'run'>) =>
  `${m.alert.name} (${m.alert.severity}): the ledger does not answer since ${m.alert.since}: ${m.error?.message}. No schedule runs, no backup is made, no other alert is told until it is back; what runs goes on and is recorded then. ${lookHere(m)}`

const minutes = (from: Date, to: Date) => `${Math.round((to.getTime() - from.getTime()) / 60_000)} min`
