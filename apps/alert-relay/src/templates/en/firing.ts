// "Something is wrong", in English: what, why, what is safe, what to type.
import type { Message } from '../../message.ts'
import { lookHere, minute, subject } from './words.ts'

export function firing(m: Omit<Message, 'text' | 'event'>): string {
  const { name, severity, since, failures, repeat } = m.alert
  return [
    repeat ? `Still wrong since ${minute(since)}:` : '',
    `${name} (${severity}): ${subject(m)}${m.error ? `: ${sentence(m.error.message)}` : '.'}`,
    m.error?.hint ? `Hint: ${sentence(m.error.hint)}` : '',
    failures > 1 ? `It has failed ${failures} times since ${minute(since)}.` : '',
    name === 'backup_failed' ? lastGood(m.lastGood) : '',
    lookHere(m),
  ]
    .filter(Boolean)
    .join(' ')
}

const lastGood = (backup: Message['lastGood']) =>
  backup
    ? `The last good backup is ${backup.id.slice(-8)} of ${minute(backup.createdAt)} at ${backup.location}.`
    : 'There is no good backup of this operation yet.'

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)
