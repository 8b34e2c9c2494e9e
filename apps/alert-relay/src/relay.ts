// What the relay does, bound to its service: each verb takes the ledger's time, does its work in a transaction where it needs one, and counts what came of it.
import type { Envelope } from '@dbops/contract/envelope'
import { severities } from '@dbops/contract/signals'
import { firingBySeverity, sweepAlerts, timeOf } from '@dbops/ledger/alerts'
import { giveUpOn } from '@dbops/ledger/deliveries'
import type { Queryable } from '@dbops/ledger/ledger'
import type { Service } from '@dbops/runtime/service'
import type { Channel, ChannelType } from './channel.ts'
import { deliverDue, type Outcome } from './deliver.ts'
import { handleEvent } from './handle-event.ts'
import { lookAgain } from './look-again.ts'
import type { Reason } from './stage.ts'

const day = 86_400_000
/** Milliseconds after which a notification that nobody took is given up. */
const deliverWithin = day
/** Milliseconds for which resolved episodes and decisions are kept. */
const keptFor = 90 * day

export function relay(s: Pick<Service, 'config' | 'ledger' | 'log' | 'metrics' | 'signal'>, channels: Map<ChannelType, Channel>) {
  const { config, ledger, log, metrics, signal } = s
  const decided = metrics.counter('dbops_alert_decisions_total', 'why alerts were told, or not', ['reason'])
  const notifications = metrics.counter('dbops_notifications_total', 'notifications by what came of each send', ['channel', 'outcome'])
  const firing = metrics.gauge('dbops_alerts_firing', 'alerts that are open', ['severity'])
  const countReasons = (reasons: Reason[]) => reasons.forEach(reason => decided.inc({ reason }))
  const countOutcomes = (channel: string, all: Outcome[]) => all.forEach(outcome => notifications.inc({ channel, outcome }))

  return {
    /** In the transaction of the inbox. */
    async handle(db: Queryable, event: Envelope): Promise<void> {
      countReasons(await handleEvent(db, event, config, await timeOf(db)))
    },
    async lookAgain(): Promise<void> {
      countReasons(await ledger.transaction(async db => lookAgain(db, config, await timeOf(db))))
      const found = new Map((await firingBySeverity(ledger)).map(row => [row.severity, row.firing]))
      for (const severity of severities) firing.set({ severity }, found.get(severity) ?? 0)
    },
    async deliver(name: string): Promise<void> {
      const entry = config.alerts.channels[name]!
      const channel = channels.get(entry.type)!
      countOutcomes(name, await deliverDue(ledger, channel, { name, config: entry, path: `alerts.channels.${name}`, log }, signal))
    },
    async sweep(): Promise<void> {
      const now = await ledger.now()
      for (const channel of await giveUpOn(ledger, now, new Date(now.getTime() - deliverWithin))) {
        log.error({ event: 'notification_given_up', channel }, `${channel} did not take a notification for a day; it is given up`)
        countOutcomes(channel, ['failed'])
      }
      await sweepAlerts(ledger, new Date(now.getTime() - keptFor))
    },
  }
}
