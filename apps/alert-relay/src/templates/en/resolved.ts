// "It is well again", or somebody says that it need not be, in English.
import { formatDuration } from '@dbops/contract/duration'
import type { Message } from '../../message.ts'
import { lookHere, minute, subject } from './words.ts'

export function resolved(m: Omit<Message, 'text' | 'event'>): string {
  const { name, since, resolvedAt, endedBy, failures } = m.alert
  const lasted = resolvedAt ? formatDuration(Date.parse(resolvedAt) - Date.parse(since)) : 'some time'
  const times = failures === 1 ? 'one failure' : `${failures} failures`
  const how = endedBy === null ? '' : `, ended by hand by ${endedBy}`
  return `Resolved: ${name}: ${subject(m)}${how}. It was wrong since ${minute(since)}, for ${lasted}, with ${times}. ${lookHere(m)}`
}
