// An event as a sentence for the terminal. A task or an event that nobody wrote a sentence for is told by its own words.
import { formatDuration, formatSize } from '@dbops/contract/duration'
import { type Envelope, signalOf } from '@dbops/contract/envelope'
import type { Failure } from '@dbops/contract/failure'
import { signals } from '@dbops/contract/signals'
import { many as manyOf, shortId } from '../print.ts'
import type { Said, Tone } from './teller.ts'

interface RunFacts {
  task: string
  state: string
  attempt: number
  startedAt: string | null
  finishedAt: string | null
  result: Record<string, unknown> | null
  error: Failure | null
}

/** `location`: of the artifact that the run has made. */
export function sentence(ce: Envelope, location?: string): Said {
  const event = signalOf(ce.type)
  const { subject } = ce
  const data = ce.data as Partial<RunFacts> & { probe?: string; schedule?: string; slots?: number; reason?: string; what?: string }
  if (event === 'approval_wanted')
    return { subject, text: `${ce.operation} waits for another person: ./dbops approve ${shortId(ce.runid ?? '')}`, tone: 'odd' }
  if (event === 'approval_ended')
    return { subject, text: `${ce.operation} ${data.state === 'queued' ? 'is approved' : 'waits for no approval any more'}`, tone: 'odd' }
  if (data.task && data.state) return { subject, ...ofRun(ce.operation, data as RunFacts, location) }
  if (data.probe) {
    if (data.error) return { subject, text: `${event}: ${data.error.message}`, hint: data.error.hint, tone: 'bad' }
    return { subject, text: `${event}`, tone: 'good' }
  }
  if (event === 'schedule_missed') return { subject, text: missed(data), tone: 'odd' }
  if (event === 'db_query_slow') return { subject, text: slow(ce.data), tone: 'odd' }
  if (data.what) return { subject, text: event?.endsWith('_gone') ? `not any more: ${data.what}` : data.what, tone: findingTone(ce) }
  const text = `${event ?? ce.type}: ${data.reason ?? (event ? signals[event].summary : 'an event of a newer version')}`
  return { subject, text, tone: toneOf(ce) }
}

function ofRun(operation: string, run: RunFacts, location?: string): Omit<Said, 'subject'> {
  const { task, state, error, result } = run
  if (state === 'succeeded') {
    const told = (result && results[task]?.(result, operation)) ?? `${operation}: ${(result && facts(result)) || 'done'}${took(run)}`
    return { text: location ? `${told} → ${location}` : told, tone: 'good' }
  }
  const word = state === 'queued' ? 'was lost and goes on elsewhere' : state.replace('_', ' ')
  return {
    text: `${operation} ${word}: ${error?.message ?? 'no reason given'}`,
    hint: error?.hint,
    tone: state === 'failed' ? 'bad' : 'odd',
  }
}

type Tell = (result: Record<string, unknown>, operation: string) => string

/** Of the tasks whose results deserve more than their own words. */
const results: Record<string, Tell> = {
  'pg.vacuum': ({ tables }) =>
    (tables as { table: string; seconds: number; deadBefore: number; deadAfter: number }[])
      .map(t => `pg.vacuum ${t.table}: ${many(t.deadBefore, 'dead tuple')} → ${count(t.deadAfter)} in ${t.seconds} s`)
      .join(', ') || 'pg.vacuum: no table needs one',
  'pg.analyze': ({ tables }) => {
    const all = tables as { table: string; changedBefore: number }[]
    if (!all.length) return 'pg.analyze: no table needs it'
    return `pg.analyze ${all.map(({ table }) => table).join(', ')}: ${count(all.reduce((sum, t) => sum + t.changedBefore, 0))} changed rows are in the statistics`
  },
  'pg.purge': ({ table, deleted, batches, way, left, locked }, operation) => {
    const rest = left ? `, ${count(left)} left${locked ? `, ${count(locked)} of them locked` : ''}` : ''
    return `${operation.replace(':', ' ')}: ${many(deleted, 'row')} of ${String(table)} deleted${deleted ? ` in ${many(batches, 'batch')}, by ${String(way)}` : ''}${rest}`
  },
  'pg.refresh-views': ({ views }, operation) => {
    const all = views as { rowsBefore: number | null; rowsAfter: number }[]
    const sum = (of: (view: (typeof all)[number]) => number) => count(all.reduce((total, view) => total + of(view), 0))
    return `${operation.replace(':', ' ')}: ${many(all.length, 'view')} of one moment, ${sum(v => v.rowsBefore ?? 0)} rows → ${sum(v => v.rowsAfter)}`
  },
  'pg.restore-check': ({ backup, checks, tables, rows, rtoSeconds }, operation) =>
    `${operation.replace(':', ' ')}: backup ${shortId((backup as { id: string }).id)} restored in ${Number(rtoSeconds)} s, ${many(tables, 'table')}, ${many(rows, 'row')}, ${many((checks as unknown[]).length, 'check')} passed`,
  'pg.dump': ({ tables, rows, bytes }, operation) =>
    `${operation.replace(':', ' ')}: ${many(tables, 'table')}, ${many(rows, 'row')}, ${formatSize(bytes as number)}`,
}

/** The plain facts of a result: `tables 5, rows 10,500`. */
const facts = (result: Record<string, unknown>): string =>
  Object.entries(result)
    .flatMap(([key, value]) => {
      if (Array.isArray(value)) return [`${key} ${value.length}`]
      if (typeof value === 'number') return [`${key} ${/bytes$/i.test(key) ? formatSize(value) : count(value)}`]
      return typeof value === 'string' || typeof value === 'boolean' ? [`${key} ${value}`] : []
    })
    .join(', ')

const missed = ({ slots = 1, schedule, reason = '' }: { slots?: number; schedule?: string; reason?: string }) =>
  slots === 1
    ? `a slot of schedule ${schedule} was not run: ${reason}`
    : `${slots} slots of schedule ${schedule} were not run: ${reason.replace(/^it /, 'they ')}`

/** `slow statement, 2.1s, "core-api" pid 4711: SELECT …`. */
function slow(data: Envelope['data']): string {
  const { query, duration_ms: ms, application, pid } = data as { query: string; duration_ms: number; application?: string; pid?: number }
  const who = [application && `"${application}"`, pid && `pid ${pid}`].filter(Boolean).join(' ')
  return `slow statement, ${formatDuration(Math.round(ms))}${who ? `, ${who}` : ''}: ${query.replaceAll(/\s+/g, ' ')}`
}

/** Of the finding; the event's own severity is the same for all of them. */
function findingTone(ce: Envelope): Tone {
  if (signalOf(ce.type)?.match(/_(gone|recovered)$/)) return 'good'
  const { level } = ce.data as { level?: string }
  return level === 'info' ? 'plain' : level === 'warning' ? 'odd' : 'bad'
}

const took = ({ startedAt, finishedAt }: RunFacts) =>
  startedAt && finishedAt ? ` in ${formatDuration(Date.parse(finishedAt) - Date.parse(startedAt))}` : ''

const toneOf = ({ severity }: Envelope): Tone => (severity === 'info' ? 'plain' : severity === 'warning' ? 'odd' : 'bad')

const count = (n: unknown) => Number(n).toLocaleString('en')
const many = (n: unknown, one: string) => manyOf(Number(n), one)
