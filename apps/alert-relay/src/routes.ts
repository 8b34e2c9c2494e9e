// Which channels are told of an alert, and how often it is repeated there: the routes of the configuration, all that match.
import type { ConfigFile, Route } from '@dbops/contract/config-file'
import { parseDuration } from '@dbops/contract/duration'
import type { Episode } from '@dbops/ledger/alerts'

/** What of the configuration decides about notifications. */
export type Rules = Pick<ConfigFile, 'alerts' | 'targets'>
type Told = Pick<Episode, 'name' | 'severity' | 'target'>

/** Channel → milliseconds between repeats. A channel that several routes name is told once, at the shortest interval of them. */
export function channelsFor(rules: Rules, told: Told): Map<string, number> {
  const channels = new Map<string, number>()
  const labels = (told.target !== null && rules.targets[told.target]?.labels) || {}
  for (const route of rules.alerts.routes.filter(({ match }) => matches(match, told, labels)))
    for (const channel of route.to)
      channels.set(channel, Math.min(channels.get(channel) ?? Number.POSITIVE_INFINITY, parseDuration(route.repeat)))
  return channels
}

/** A condition that is left out holds for everything; all that are written must hold. */
const matches = ({ severity, event, target, labels }: Route['match'], told: Told, has: Record<string, string>): boolean =>
  (!severity || severity.includes(told.severity)) &&
  (!event || event.includes(told.name)) &&
  (!target || (told.target !== null && target.includes(told.target))) &&
  Object.entries(labels ?? {}).every(([label, value]) => has[label] === value)
