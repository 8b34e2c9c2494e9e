// One run, whole: what was asked, what was decided, what was done and proved, and its history.
import { type HistoryRow, historyOf, type Run } from '@dbops/ledger/runs'
import type { Config } from '@dbops/runtime/config'
import type { Context } from '../command.ts'
import { factLines, indent } from '../facts.ts'
import { coming, past, stamp } from '../moment.ts'
import { type Print, shortId } from '../print.ts'
import { beginWords } from './begin-words.ts'
import { findRun } from './find-run.ts'
import { causeWords, isTriedAgain, runRecord, runWords, stateColour, stateWords, took } from './run-record.ts'
import { room } from './start-run.ts'

export async function showRun({ args, print, connect }: Context): Promise<void> {
  const { ledger, environment, config } = await connect()
  const run = await findRun(ledger, args[0] as string)
  const history = await historyOf(ledger, run.id)
  print.record({
    ...runRecord(run),
    parent: run.parent,
    params: run.spec.params,
    entries: run.spec.entries,
    attempts: run.attempts,
    worker: run.worker,
    progress: run.progress,
    plan: run.plan,
    policy: run.policy,
    approval: run.approval,
    evidence: run.evidence,
    history,
  })
  if (print.json) return
  print.environment(environment)
  tell(print, run, await ledger.now(), config)
  print.line()
  print.line(print.colour('bold', 'history'))
  for (const line of indent(historyLines(history))) print.line(line)
}

function tell(print: Print, run: Run, now: Date, config: Config | undefined): void {
  const colour = stateColour(run.state)
  const state = stateWords(run.state)
  print.line(`run ${print.colour('bold', shortId(run.id))}  ${runWords(run)}  ${colour ? print.colour(colour, state) : state}`)
  if (run.error) print.line(`  ${print.colour('red', run.error.message)}`)
  if (run.error?.hint) print.line(`  ${print.colour('yellow', `hint: ${run.error.hint}`)}`)
  const rows: [string, string | null | undefined][] = [
    ['id', run.id],
    ['cause', `${causeWords(run)}${run.mode === 'do' ? '' : `, mode ${run.mode}`}, actor ${run.actor}`],
    ['parent', run.parent],
    ['slot', run.slot && slotWords(run)],
    ['queued', past(run.queuedAt, now)],
    ['waits for', run.waitingFor && `${run.waitingFor}${run.waitingSince ? `, since ${past(run.waitingSince, now)}` : ''}`],
    ['approval', run.state === 'awaiting_approval' ? approvalWords(run, now) : null],
    ['begins', run.state === 'awaiting_approval' && run.approval ? `once approved ${beginWords(run, config, now)}` : null],
    ['again', isTriedAgain(run) ? coming(run.notBefore, now) : null],
    ['started', run.startedAt && past(run.startedAt, now)],
    ['finished', run.finishedAt && past(run.finishedAt, now)],
    ['took', took(run, now)],
    ['attempt', run.attempts ? `${run.attempt} of ${run.attempts}${run.losses ? `, ${run.losses} lost with their process` : ''}` : null],
    ['worker', run.worker],
  ]
  for (const [name, value] of rows) if (value) print.line(`  ${print.colour('dim', name.padEnd(9))}  ${value}`)
  const sections = {
    parameters: run.spec.params,
    progress: run.state === 'running' ? run.progress : null,
    plan: run.plan,
    policy: run.policy,
    approval: run.approval,
    result: run.mode === 'plan' ? null : run.result,
    evidence: run.evidence,
  }
  for (const [name, facts] of Object.entries(sections)) {
    if (!facts || !Object.keys(facts).length) continue
    print.line()
    print.line(print.colour('bold', name))
    for (const line of indent(factLines(facts, room()))) print.line(line)
  }
}

const approvalWords = (run: Run, now: Date) =>
  run.approval
    ? `by another person than ${run.actor}, ${coming(run.validUntil, now)} at the latest: ./dbops approve ${shortId(run.id)} --as NAME`
    : 'its plan is being made'

const slotWords = (run: Run) =>
  run.slotTo && run.slots > 1 ? `${stamp(run.slot!)} to ${stamp(run.slotTo)}: ${run.slots} slots` : stamp(run.slot!)

/** The worker where it changes; what a row tells beside that in one line. */
function historyLines(history: HistoryRow[]): string[] {
  const widest = Math.max(0, ...history.map(({ event }) => event.length))
  let last: string | null = null
  return history.map(({ at, event, attempt, worker, detail }) => {
    const told = [attempt ? `attempt ${attempt}` : '', worker && worker !== last ? worker : '', detailWords(detail), againWords(detail)]
      .filter(Boolean)
      .join('  ')
    last = worker ?? last
    return `${stamp(at)}.${String(at.getMilliseconds()).padStart(3, '0')}  ${event.replaceAll('_', ' ').padEnd(widest)}  ${told}`.trimEnd()
  })
}

function detailWords(detail: unknown): string {
  if (!detail || typeof detail !== 'object') return ''
  const facts = detail as Record<string, unknown>
  if (typeof facts['message'] === 'string') return facts['message']
  return Object.entries(facts)
    .filter(([key]) => key !== 'again')
    .flatMap(([key, value]) => (value === null || value === undefined ? [] : [`${key} ${valueWords(value)}`]))
    .join(', ')
}

/** Of an attempt that is not the last: when the next one may begin. */
function againWords(detail: unknown): string {
  const { again } = (detail ?? {}) as { again?: unknown }
  return typeof again === 'string' ? `again at ${stamp(again).slice(11)}` : ''
}

const valueWords = (value: unknown): string => {
  if (typeof value === 'string') return value
  const kind = (value as { kind?: unknown }).kind
  return typeof kind === 'string' ? kind : JSON.stringify(value)
}
