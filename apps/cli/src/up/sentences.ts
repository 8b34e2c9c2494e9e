// An event as a sentence for the terminal. A task or an event that nobody wrote a sentence for is told by its own words.
import { formatDuration, formatSize } from '@dbops/contract/duration'
import { type Envelope, signalOf } from '@dbops/contract/envelope'
import type { Failure } from '@dbops/contract/failure'
import { signals } from '@dbops/contract/signals'
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
  const data = ce.data as Partial<RunFacts> & { probe?: string; schedule?: string; slots?: number; reason?: string }
  if (data.task && data.state) return { subject, ...ofRun(ce.operation, data as RunFacts, location) }
  if (data.probe) {
    if (data.error) return { subject, text: `${event}: ${data.error.message}`, hint: data.error.hint, tone: 'bad' }
    return { subject, text: `${event}`, tone: 'good' }
  }
  if (event === 'schedule_missed')
    return { subject, text: `${data.slots} slots of schedule ${data.schedule} were not run: ${data.reason}`, tone: 'odd' }
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
      .map(t => `pg.vacuum ${t.table}: ${count(t.deadBefore)} dead tuples → ${count(t.deadAfter)} in ${t.seconds} s`)
      .join(', '),
  'pg.dump': ({ tables, rows, bytes }, operation) =>
    `${operation.replace(':', ' ')}: ${count(tables)} tables, ${count(rows)} rows, ${formatSize(bytes as number)}`,
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

const took = ({ startedAt, finishedAt }: RunFacts) =>
  startedAt && finishedAt ? ` in ${formatDuration(Date.parse(finishedAt) - Date.parse(startedAt))}` : ''

const toneOf = ({ severity }: Envelope): Tone => (severity === 'info' ? 'plain' : severity === 'warning' ? 'odd' : 'bad')

const count = (n: unknown) => Number(n).toLocaleString('en')
