// "It is well again", in English.
import { formatDuration } from '@dbops/contract/duration'
import type { Message } from '../../message.ts'
import { lookHere, minute, subject } from './words.ts'

export function resolved(m: Omit<Message, 'text' | 'event'>): string {
  const { name, since, resolvedAt, failures } = m.alert
  const lasted = resolvedAt ? formatDuration(Date.parse(resolvedAt) - Date.parse(since)) : 'some time'
  const times = failures === 1 ? 'one failure' : `${failures} failures`
  return `Resolved: ${name}: ${subject(m)}. It was wrong since ${minute(since)}, for ${lasted}, with ${times}. ${lookHere(m)}`
}
