// The lines that `up` prints: time, whom it is about, what happened. With --json stdout carries the events and nothing else, and these
// lines go to stderr.
import type { Envelope } from '@dbops/contract/envelope'
import { type Colour, width } from '../print.ts'

/** Well, bad, odd, or merely so. */
export type Tone = 'good' | 'bad' | 'odd' | 'plain'

export interface Said {
  /** Whom it is about: `pg/core`, `scheduler`. */
  subject: string
  text: string
  hint?: string | undefined
  tone?: Tone
}

export interface Teller {
  say(line: Said, at?: Date): void
  /** An event, and how it is said. */
  event(ce: Envelope, said: Said): void
}

const colours: Record<Tone, Colour | undefined> = { good: 'green', bad: 'red', odd: 'yellow', plain: undefined }
const subjectWidth = 15
const indent = ' '.repeat('00:00:00'.length + 2 + subjectWidth + 2)

/** Long lines are broken between words at the width of a terminal, and go on under their text; elsewhere a line is a line. */
export function teller({ json = false, colour }: { json?: boolean; colour: (name: Colour, text: string) => string }): Teller {
  const out = json ? process.stderr : process.stdout
  const tint = json ? (_: Colour, text: string) => text : colour
  const lines = (text: string) => (out.isTTY ? wrap(text, (out.columns || 120) - indent.length) : [text])
  const say: Teller['say'] = ({ subject, text, hint, tone = 'plain' }, at = new Date()) => {
    const name = colours[tone]
    const [first = '', ...rest] = lines(text).map(line => (name ? tint(name, line) : line))
    const head = `${tint('dim', clock(at))}  ${tint('cyan', subject.padEnd(subjectWidth))}  `
    const hints = hint ? lines(`hint: ${hint}`).map(line => tint('yellow', line)) : []
    out.write([head + first, ...[...rest, ...hints].map(line => indent + line), ''].join('\n'))
  }
  return {
    say,
    event(ce, said) {
      if (json) process.stdout.write(`${JSON.stringify(ce)}\n`)
      say(said, new Date(ce.time))
    },
  }
}

/** A line as a file keeps it. */
export const plainLine = ({ subject, text, hint }: Said, at: Date) =>
  `${at.toISOString()}  ${subject.padEnd(subjectWidth)}  ${text}${hint ? `  hint: ${hint}` : ''}\n`

/** Breaks between words; a word that is wider than the room stands alone, whole, so that a path can still be copied. */
export function wrap(text: string, room: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && width(last) + 1 + width(word) <= room) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

const clock = (at: Date) => at.toTimeString().slice(0, 8)
