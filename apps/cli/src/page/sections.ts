// The sections of a page and what stands in them.
import { formatSize } from '@dbops/contract/duration'
import { away, clock } from '../moment.ts'
import { ago, type Colour, singular, width } from '../print.ts'
import { type Tone, wrap } from '../up/teller.ts'
import type { Entry, Section } from './layout.ts'
import type { Line, Part } from './line.ts'
import type { Model, Progress, Seen, Told } from './model.ts'

const toneColours: Record<Tone, Colour | undefined> = { good: 'green', bad: 'red', odd: 'yellow', plain: undefined }

/** For so long (ms) what a process said is news: what lasts is an alert or a finding. */
const news = 600_000
const ranks = { first: 0, last: 2 }
const rankOf = ({ rank }: Told) => (rank ? ranks[rank] : 1)

export const starting = ({ said, zone }: Model, line: Line): Section[] => [
  { title: 'starting', entries: told(said, one => one.at, line, zone), none: '', least: 1, weight: 1, keepsLast: true },
]

export function watched({ now, next, running, last, notifications }: Seen, { said, zone }: Model, line: Line): Section[] {
  const ours = said.filter(({ tone = 'plain', at }) => (tone === 'bad' || tone === 'odd') && now.getTime() - at.getTime() < news)
  const heard = [...notifications, ...ours].toSorted((a, b) => rankOf(a) - rankOf(b) || b.at.getTime() - a.at.getTime())
  const notified = told(
    heard,
    () => now,
    line,
    zone,
    ({ rank }) => rank !== 'last',
  )
  const firing = notified.reduce((sum, { first, whole }) => sum + (first ? whole.length : 0), 0)
  const widest = Math.max(0, ...next.map(({ schedule }) => width(schedule)))
  return [
    {
      title: 'next runs',
      entries: next.map(({ schedule, work, target, at, event, pausedUntil }) =>
        oneLine(
          line(
            ...when(at, event, pausedUntil, now, zone),
            '  ',
            [schedule.padEnd(widest), 'bold'],
            `  ${work}${target ? ` on ${target}` : ''}`,
          ),
        ),
      ),
      none: 'no schedule is due; docs/config.md, section schedules',
      least: 2,
      weight: 1,
    },
    {
      title: 'running',
      entries: running.map(({ work, target, words, since, progress, waitingFor, again }) =>
        oneLine(
          line(
            [words.padEnd(8), words === 'running' ? 'cyan' : 'blue'],
            `  ${ago(since, now).padEnd(9)}  `,
            [work, 'bold'],
            target ? ` on ${target}` : '',
            ...(again
              ? [[`  again ${away(again, now)}: ${waitingFor?.replace(/^retry after: /, '') ?? ''}`, 'yellow'] satisfies Part]
              : waitingFor
                ? [[`  waits for ${waitingFor}`, 'dim'] satisfies Part]
                : progress
                  ? [`  ${progressWords(progress)}`]
                  : []),
          ),
        ),
      ),
      none: 'nothing runs, nothing waits',
      least: 2,
      weight: 1,
    },
    {
      title: 'last results',
      entries: told(last, () => now, line, zone),
      none: 'nothing has ended yet',
      least: 4,
      weight: 4,
    },
    {
      title: 'notifications',
      entries: notified,
      none: 'nothing is wrong, nobody was told of anything',
      // Three that fire are told in full, each on three lines, before one more result is.
      least: Math.max(4, Math.min(9, firing)),
      weight: 3,
    },
  ]
}

const oneLine = (short: string): Entry => ({ whole: [short], short })

/** `12:00:10  in 10s`, in 19 columns where that is enough. */
function when(at: Date | null, event: string | null, pausedUntil: Date | null, now: Date, zone: string): Part[] {
  if (!at) return [[`on ${event}`.padEnd(19), 'dim']]
  const time: Part = [`${clock(at, now, zone)}  `, 'dim']
  return [time, pausedUntil ? [`paused until ${clock(pausedUntil, now, zone)}`, 'yellow'] : away(at, now).padEnd(9)]
}

const widestSubject = 15

/** What went wrong, and what else `isTold` names, is told whole, with its hint, where nothing above says the same. */
function told(all: Told[], nowFor: (one: Told) => Date, line: Line, zone: string, isTold = ({ tone }: Told) => tone === 'bad'): Entry[] {
  const widest = Math.min(widestSubject, Math.max(0, ...all.map(({ subject }) => width(subject))))
  return all.map((one, i) => {
    const { subject, text, hint, tone = 'plain' } = one
    const time = clock(one.at, nowFor(one), zone)
    const before = time.length + 2 + widest + 2
    const row = (words: string) => line([time, 'dim'], '  ', [subject.padEnd(widest), 'cyan'], '  ', [words, toneColours[tone]])
    const short = row(text)
    const first = one.rank === 'first'
    if (!isTold(one) || all.findIndex(other => other.text === text) < i) return { ...oneLine(short), first }
    const [begin = '', ...more] = wrapped(text, line.width - before, 3)
    const indent = ' '.repeat(before)
    const hints = hint ? wrapped(`hint: ${hint}`, line.width - before, 2) : []
    return {
      whole: [
        row(begin),
        ...more.map(words => line(indent, [words, toneColours[tone]])),
        ...hints.map(words => line(indent, [words, 'yellow'])),
      ],
      short,
      first,
    }
  })
}

/** The first `most` lines of a text; the last one says that it goes on. */
function wrapped(text: string, room: number, most: number): string[] {
  const lines = wrap(text, room)
  return lines.length > most ? [...lines.slice(0, most - 1), `${lines[most - 1]!.slice(0, room - 1)}…`] : lines
}

const barWidth = 12
/** `██████░░░░░░ 50 % of 12,000 rows, batch 4`. */
function progressWords({ done, total, unit, note }: Progress): string {
  // Before the first one there is nothing to count.
  if (!done && !total && note) return note
  const about = note ? `, ${note}` : ''
  const many = (n: number) => (unit === 'bytes' ? formatSize(n) : `${n.toLocaleString('en')} ${n === 1 ? singular(unit) : unit}`)
  if (total === null || total <= 0) return `${many(done)}${about}`
  const share = Math.min(1, done / total)
  const full = Math.round(share * barWidth)
  return `${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${Math.floor(share * 100)} % of ${many(total)}${about}`
}
