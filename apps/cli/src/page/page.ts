// The one page of `up` and of `status --watch`: from what is known, and the size of the terminal, its lines. It asks nobody and writes nowhere.
import { away, clock } from '../moment.ts'
import { ago, type Colour, cut, width } from '../print.ts'
import { type Said, type Tone, wrap } from '../up/teller.ts'
import { shares } from './shares.ts'

/** A line that was said, and when. */
export interface Told extends Said {
  at: Date
}

export interface Progress {
  done: number
  total: number | null
  unit: string
  note?: string
}

/** What the ledger knows at one moment. */
export interface Seen {
  /** By the ledger's clock. */
  now: Date
  services: { app: string; words: string; colour: Colour; reasons: string[] }[]
  targets: { name: string; state: 'up' | 'down' | 'not read yet' }[]
  alerts: number
  findings: number
  next: { schedule: string; work: string; target: string | null; at: Date | null; event: string | null; pausedUntil: Date | null }[]
  /** With what waits and what is parked. */
  running: {
    work: string
    target: string | null
    words: string
    since: Date
    progress: Progress | null
    waitingFor: string | null
  }[]
  /** The newest first. */
  last: Told[]
  /** The newest first; what still fires stands above. */
  notifications: Told[]
}

export interface Model {
  environment: string | undefined
  /** Beside the environment: which plan, kept where. */
  note: string
  /** Undefined as long as no ledger was read: then `said` is shown. */
  seen: Seen | undefined
  /** What `up` said, the oldest first. */
  said: Told[]
  /** Why what is seen is old; undefined while the ledger answers. */
  trouble?: string | undefined
  /** The last line: what can be done. */
  foot: string
  /** For the times on it. */
  zone: string
}

export interface Paper {
  width: number
  height: number
  colour: (name: Colour, text: string) => string
}

type Part = string | [text: string, colour: Colour | undefined]

const toneColours: Record<Tone, Colour | undefined> = { good: 'green', bad: 'red', odd: 'yellow', plain: undefined }

/** At most `height` lines, none wider than `width`. */
export function page(model: Model, paper: Paper): string[] {
  const line: Line = Object.assign((...parts: Part[]) => inked(parts, paper), { width: paper.width })
  const head = headLines(model, line)
  const foot = [line([model.foot, 'dim'])]
  const room = paper.height - head.length - foot.length
  const sections = model.seen ? watched(model.seen, model, line) : starting(model, line)
  const body = laidOut(sections, room, line)
  // The foot stands at the bottom, whatever is above it.
  const gap = Array.from({ length: Math.max(0, room - body.length) }, () => '')
  return [...head, ...body, ...gap, ...foot].slice(0, paper.height)
}

/** Makes one line of its parts. */
type Line = ((...parts: Part[]) => string) & { width: number }

function headLines({ environment, note, seen, trouble, zone }: Model, line: Line): string[] {
  const name: Part = [environment ?? 'unknown', environment === 'prod' ? 'red' : 'bold']
  const title = line(seen ? `${clock(seen.now, seen.now, zone)}  ` : '', ['environment ', 'dim'], name, [`  ${note}`, 'dim'])
  if (trouble) return [title, line([trouble, 'red'])]
  if (!seen) return [title]
  return [title, line(...summary(seen))]
}

/** `1 alert firing · 3 findings · core up, cache up · 5 services ready`: what is cut on a narrow terminal is what comes last. */
function summary({ services, targets, alerts, findings }: Seen): Part[] {
  const hindered = services.filter(({ colour }) => colour !== 'green')
  const ready = services.length - hindered.length
  return [
    [alerts ? `${count(alerts, 'alert')} firing` : 'no alert', alerts ? 'red' : 'dim'],
    [' · ', 'dim'],
    [findings ? count(findings, 'finding') : 'no finding', findings ? 'yellow' : 'dim'],
    [' · ', 'dim'],
    ...(targets.length ? targets : [{ name: 'no target', state: '' }]).flatMap(({ name, state }, i): Part[] => [
      i ? ', ' : '',
      [`${name} ${state}`.trim(), state === 'down' ? 'red' : state === 'up' ? 'green' : 'yellow'],
    ]),
    [' · ', 'dim'],
    [`${count(ready, 'service')} ready`, ready ? 'green' : 'yellow'],
    ...hindered.flatMap(({ app, words, colour, reasons }): Part[] => [
      ', ',
      [`${app} ${words}${reasons[0] && reasons[0] !== words ? `: ${reasons[0]}` : ''}`, colour],
    ]),
  ]
}

interface Section {
  title: string
  /** Each of one line or more. */
  entries: string[][]
  /** Said where there is none. */
  none: string
  /** Lines that it gets before another gets more than its own. */
  least: number
  /** Its share of what is left then. */
  weight: number
  /** Where there is no room for all the first ones go. */
  keepsLast?: boolean
}

const starting = ({ said, zone }: Model, line: Line): Section[] => [
  { title: 'starting', entries: said.map(one => toldLines(one, one.at, line, zone)), none: '', least: 1, weight: 1, keepsLast: true },
]

function watched({ now, next, running, last, notifications }: Seen, { said, zone }: Model, line: Line): Section[] {
  const ours = said.filter(({ tone = 'plain' }) => tone === 'bad' || tone === 'odd')
  const heard = [...notifications, ...ours].toSorted((a, b) => b.at.getTime() - a.at.getTime())
  const widest = Math.max(0, ...next.map(({ schedule }) => width(schedule)))
  return [
    {
      title: 'next runs',
      entries: next.map(({ schedule, work, target, at, event, pausedUntil }) => [
        line(
          ...when(at, event, pausedUntil, now, zone),
          '  ',
          [schedule.padEnd(widest), 'bold'],
          `  ${work}${target ? ` on ${target}` : ''}`,
        ),
      ]),
      none: 'no schedule is due; docs/config.md, section schedules',
      least: 3,
      weight: 2,
    },
    {
      title: 'running',
      entries: running.map(({ work, target, words, since, progress, waitingFor }) => [
        line(
          [words.padEnd(8), words === 'running' ? 'cyan' : 'blue'],
          `  ${ago(since, now).padEnd(9)}  `,
          [work, 'bold'],
          target ? ` on ${target}` : '',
          ...(waitingFor ? [[`  waits for ${waitingFor}`, 'dim'] satisfies Part] : progress ? [`  ${progressWords(progress)}`] : []),
        ),
      ]),
      none: 'nothing runs, nothing waits',
      least: 2,
      weight: 1,
    },
    {
      title: 'last results',
      entries: last.map((one, i) => toldLines(one, now, line, zone, last.findIndex(({ text }) => text === one.text) < i)),
      none: 'nothing has ended yet',
      least: 4,
      weight: 4,
    },
    {
      title: 'notifications',
      entries: heard.map(one => toldLines(one, now, line, zone)),
      none: 'nothing is wrong, nobody was told of anything',
      least: 3,
      weight: 3,
    },
  ]
}

/** `12:00:10  in 10s`, in 19 columns where that is enough. */
function when(at: Date | null, event: string | null, pausedUntil: Date | null, now: Date, zone: string): Part[] {
  if (!at) return [[`on ${event}`.padEnd(19), 'dim']]
  const time: Part = [`${clock(at, now, zone)}  `, 'dim']
  return [time, pausedUntil ? [`paused until ${clock(pausedUntil, now, zone)}`, 'yellow'] : away(at, now).padEnd(9)]
}

const subjectWidth = 12
/** One line; what went wrong is told whole, with its hint, in a few, unless it was `toldAbove`. */
function toldLines({ at, subject, text, hint, tone = 'plain' }: Told, now: Date, line: Line, zone: string, toldAbove = false): string[] {
  const time = clock(at, now, zone)
  const before = time.length + 2 + subjectWidth + 2
  const isWhole = tone === 'bad' && !toldAbove
  const [first = '', ...more] = isWhole ? wrapped(text, line.width - before, 3) : [text]
  const hints = isWhole && hint ? wrapped(`hint: ${hint}`, line.width - before, 2) : []
  const indent = ' '.repeat(before)
  return [
    line([time, 'dim'], '  ', [subject.padEnd(subjectWidth), 'cyan'], '  ', [first, toneColours[tone]]),
    ...more.map(words => line(indent, [words, toneColours[tone]])),
    ...hints.map(words => line(indent, [words, 'yellow'])),
  ]
}

/** The first `most` lines of a text; the last one says that it goes on. */
function wrapped(text: string, room: number, most: number): string[] {
  const lines = wrap(text, room)
  return lines.length > most ? [...lines.slice(0, most - 1), `${lines[most - 1]!.slice(0, room - 1)}…`] : lines
}

const barWidth = 12
/** `██████░░░░░░ 50 % of 12,000 rows, batch 4`. */
function progressWords({ done, total, unit, note }: Progress): string {
  const about = note ? `, ${note}` : ''
  if (total === null || total <= 0) return `${done.toLocaleString('en')} ${unit}${about}`
  const share = Math.min(1, done / total)
  const full = Math.round(share * barWidth)
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${Math.floor(share * 100)} % of ${total.toLocaleString('en')} ${unit}${about}`
}

/** Titles, entries and an empty line between sections, in `room` lines. A section that cannot show all says how many are left out. */
function laidOut(sections: Section[], room: number, line: Line): string[] {
  const airy = room >= sections.length * 4
  const around = sections.length * (airy ? 2 : 1)
  const given = shares(
    sections.map(({ entries, least, weight }) => ({ wants: Math.max(1, entries.flat().length), least, weight })),
    Math.max(0, room - around),
  )
  return sections.flatMap(({ title, entries, none, keepsLast }, i) => {
    const rows = given[i]!
    const all = entries.flat()
    const shown = keepsLast ? all.slice(Math.max(0, all.length - rows)) : all.slice(0, rows)
    const left = keepsLast ? 0 : entries.length - begun(entries, rows)
    return [
      ...(airy ? [''] : []),
      line([title.toUpperCase(), 'bold'], [left ? `  ${left} more` : '', 'dim']),
      ...(entries.length ? shown : rows ? [line([none, 'dim'])] : []),
    ]
  })
}

/** How many of the entries have a line among the first `rows`. */
function begun(entries: string[][], rows: number): number {
  let lines = 0
  return entries.filter(entry => {
    const isShown = lines < rows
    lines += entry.length
    return isShown
  }).length
}

/** One line of coloured parts, cut where the paper ends. */
function inked(parts: Part[], { width: room, colour }: Paper): string {
  let left = room
  let text = ''
  for (const part of parts) {
    if (left <= 0) break
    const [words, name] = typeof part === 'string' ? [part, undefined] : part
    // What comes from a database may hold line breaks and worse.
    const shown = cut(words.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' '), left)
    left -= width(shown)
    text += name && shown.trim() ? colour(name, shown) : shown
  }
  return text
}

const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? '' : 's'}`
