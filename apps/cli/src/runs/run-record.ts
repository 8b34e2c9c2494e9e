// A run as scripts get it, and as one line of a table.
import { formatDuration } from '@dbops/contract/duration'
import type { Run, State } from '@dbops/ledger/runs'
import { clock } from '../moment.ts'
import { ago, type Colour, type Column, shortId } from '../print.ts'
import { operationWords } from './operation-words.ts'

/** The keys are a contract with scripts: they may become more. */
export const runRecord = (r: Run) => ({
  id: r.id,
  task: r.task,
  target: r.target,
  state: r.state,
  mode: r.mode,
  cause: r.cause,
  actor: r.actor,
  operation: r.operation,
  schedule: r.schedule,
  slot: r.slot,
  slotTo: r.slotTo,
  slots: r.slots,
  queuedAt: r.queuedAt,
  startedAt: r.startedAt,
  finishedAt: r.finishedAt,
  attempt: r.attempt,
  waitingFor: r.waitingFor,
  result: r.result,
  error: r.error,
  params: r.spec.params,
})
export type RunRecord = ReturnType<typeof runRecord>

const colours: Record<State, Colour | undefined> = {
  awaiting_approval: 'blue',
  queued: 'blue',
  running: 'cyan',
  parked: 'blue',
  succeeded: 'green',
  failed: 'red',
  timed_out: 'red',
  refused: 'yellow',
  cancelled: 'yellow',
  skipped: 'dim',
}
export const stateColour = (state: State) => colours[state]
export const stateWords = (state: State) => state.replaceAll('_', ' ')

/** An attempt has failed, and the next one is still to come: at `notBefore`. */
export const isTriedAgain = (run: Pick<Run, 'state' | 'attempt' | 'error'>) =>
  run.state === 'queued' && run.attempt > 0 && run.error !== null

/** What it works on, for a sentence: `pg.dump:metadata on core`. */
export const runWords = (r: Pick<Run, 'operation' | 'target'>) => `${r.operation}${r.target ? ` on ${r.target}` : ''}`

export const runColumns = (now: Date): Column<RunRecord>[] => [
  { head: 'id', of: r => shortId(r.id), colour: () => 'bold' },
  { head: 'operation', of: r => operationWords(r.operation, r.params) },
  { head: 'target', of: r => r.target },
  { head: 'state', of: r => stateWords(r.state), colour: r => stateColour(r.state) },
  { head: 'at', wide: true, of: r => clock(r.startedAt ?? r.queuedAt, now) },
  { head: 'ago', of: r => ago(r.finishedAt ?? r.startedAt ?? r.queuedAt, now), right: true },
  { head: 'took', wide: true, of: r => took(r, now), right: true },
  { head: 'about', of: r => about(r) },
]

/** From the first attempt's start to the end, or until now. */
export const took = (r: Pick<RunRecord, 'startedAt' | 'finishedAt' | 'state'>, now: Date) =>
  r.startedAt && (r.finishedAt || r.state === 'running') ? formatDuration((r.finishedAt ?? now).getTime() - r.startedAt.getTime()) : null

function about(r: RunRecord): string {
  if (r.state === 'skipped') {
    const reason = r.error?.message ?? 'no reason given'
    return r.slots === 1 ? reason : `${r.slots} slots: ${reason.replace(/^it /, 'they ')}`
  }
  if (r.waitingFor) return `waits for ${r.waitingFor}`
  if (r.error) return r.error.message
  return `${r.mode === 'do' ? '' : `${r.mode}, `}${causeWords(r)}`
}

/** `on data_registered`, `on 12 of data_registered` */
const eventWords = ({ event, events }: Run['cause']) => `on ${Number(events) > 1 ? `${String(events)} of ` : ''}${String(event)}`

export const causeWords = (r: Pick<Run, 'cause' | 'schedule' | 'actor'>) => {
  if (r.cause.kind === 'schedule') return `schedule ${r.schedule ?? ''}`
  if (r.cause.kind === 'event') return `schedule ${r.schedule ?? ''}, ${eventWords(r.cause)}`
  if (typeof r.cause['run'] === 'string') return `${r.cause.kind} of ${shortId(r.cause['run'])}`
  return r.cause.kind === 'command' ? `by ${r.actor}` : r.cause.kind
}
