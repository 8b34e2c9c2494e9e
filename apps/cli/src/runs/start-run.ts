// Asks the scheduler for a run, and shows its end, or its plan, when somebody waits for it.
import type { TaskEntry } from '@dbops/catalog/catalog'
import { parseDuration } from '@dbops/contract/duration'
import { Problem } from '@dbops/contract/failure'
import { ask, type Command } from '@dbops/ledger/commands'
import type { Ledger } from '@dbops/ledger/ledger'
import { find, isFinal, type Run } from '@dbops/ledger/runs'
import type { Context } from '../command.ts'
import type { Connection } from '../connect.ts'
import { type Exit, exitOfAnswer, exits } from '../exits.ts'
import { factLines, indent } from '../facts.ts'
import { Failed } from '../fail.ts'
import { shortId } from '../print.ts'
import { runRecord, runWords, stateColour, stateWords, took } from './run-record.ts'
import { paramsFrom } from './task-flags.ts'
import { goesOn, waitForRun } from './wait-for-run.ts'

export interface Waiting {
  wait: boolean
  /** Milliseconds. */
  within: number
}

/** `--wait` and `--timeout`, which means `--wait` too. Fails with exit 2. */
export function waitingOf(options: Record<string, unknown>): Waiting {
  const timeout = options['timeout'] as string | undefined
  try {
    return { wait: Boolean(options['wait']) || timeout !== undefined, within: timeout === undefined ? Infinity : parseDuration(timeout) }
  } catch (error) {
    throw new Failed('wrong', `--timeout: ${(error as Error).message}`)
  }
}

export async function startRun(c: Context, task: TaskEntry): Promise<number> {
  const { options } = c
  const params = paramsFrom(task, options)
  const waiting = waitingOf(options)
  const isPlan = Boolean(options['dryRun'])
  const target = options['target'] as string | undefined
  const connection = await c.connect()
  if (!isPlan && task.effect !== 'read') await c.confirm(connection.environment, `run ${task.name}${target ? ` on ${target}` : ''}`)
  const key = options['key'] as string | undefined
  const body = { task: task.name, params, ...(target ? { target } : {}), mode: isPlan ? 'plan' : 'do' }
  const run = await askFor(connection, { verb: 'run', body, ...(key ? { key } : {}) })
  return tellRun(c, connection, run, isPlan ? { ...waiting, wait: true } : waiting)
}

/** From the question on, Ctrl-C ends the wait and not the process: what became of the question is told all the same. A second one ends the process. */
const interrupt = new AbortController()

/** The run that the scheduler bore. Fails with the exit that its answer means. */
export async function askFor({ ledger, actor }: Connection, asked: Pick<Command, 'verb' | 'body'> & { key?: string }): Promise<Run> {
  process.once('SIGINT', () => interrupt.abort())
  try {
    const answer = await ask(ledger, { ...asked, actor })
    if (!answer.ok) throw new Failed(exitOfAnswer(answer.error), answer.error.message, answer.error)
    return (await find(ledger, answer.run))[0]!
  } catch (error) {
    if (error instanceof Problem && error.code === 'unreachable')
      throw new Failed('unreachable', error.message, { code: error.code, hint: error.hint })
    throw error
  }
}

/** That it was born; or, waited for, how it ended. */
export async function tellRun(c: Context, { ledger, environment }: Connection, born: Run, { wait, within }: Waiting): Promise<number> {
  const { print } = c
  print.environment(environment)
  if (!wait) {
    print.record(runRecord(born))
    print.line(`run ${print.colour('bold', shortId(born.id))}: ${runWords(born)} is ${stateWords(born.state)}`)
    if (born.state === 'awaiting_approval') {
      const id = shortId(born.id)
      print.line(
        print.colour('dim', `its plan is being made; another person looks at it and lets it begin: ./dbops approve ${id} --as NAME`),
      )
      return exits.refused
    }
    print.line(
      print.colour('dim', `./dbops runs show ${shortId(born.id)}, ./dbops logs ${shortId(born.id)}, ./dbops cancel ${shortId(born.id)}`),
    )
    return exits.done
  }
  return tellEndOf(c, ledger, born, within)
}

/** Waits for the end and tells it; its exit is that of the run. */
const tellEndOf = async (c: Context, ledger: Ledger, born: Run, within: number) => tellEnd(c, await endOf(c, ledger, born, within))

/** The run once it has ended. Fails with exit 5 when that takes too long, or Ctrl-C ends the wait. */
export async function endOf(c: Context, ledger: Ledger, born: Run, within: number): Promise<Run> {
  const run = await waitForRun(ledger, born.id, { within, signal: interrupt.signal, quiet: c.print.json })
  if (isFinal(run.state)) return run
  const message = `${interrupt.signal.aborted ? 'not waited any longer' : 'the wait timed out'}: run ${shortId(run.id)} is ${stateWords(run.state)}${run.waitingFor ? `, it waits for ${run.waitingFor}` : ''}`
  throw new Failed('timedOut', message, { hint: goesOn(run.id) })
}

function tellEnd({ print }: Context, run: Run): number {
  const isPlan = run.mode === 'plan'
  print.record({ ...runRecord(run), ...(isPlan ? { plan: run.plan } : {}) })
  const time = took(run, run.finishedAt ?? new Date())
  const word = isPlan && run.state === 'succeeded' ? 'planned; nothing was changed' : `${stateWords(run.state)}${time ? ` in ${time}` : ''}`
  print.line(`run ${print.colour('bold', shortId(run.id))}: ${runWords(run)} ${colourState(print, run, word)}`)
  const facts = isPlan ? run.plan : run.result
  if (facts && run.state === 'succeeded') for (const line of indent(factLines(facts, room()))) print.line(line)
  // What a proof or a check has found is the reason.
  if (run.state !== 'succeeded' && run.evidence) for (const line of indent(factLines(run.evidence, room()))) print.line(line)
  return exitOfRun({ print }, run)
}

/** Of a run that has ended. Fails with its error where people read. */
export function exitOfRun({ print }: Pick<Context, 'print'>, run: Run): number {
  if (run.state === 'succeeded') return exits.done
  const exit: Exit = run.state === 'refused' ? 'refused' : 'failed'
  if (print.json) return exits[exit]
  throw new Failed(exit, run.error?.message ?? `the run is ${stateWords(run.state)}`, {
    code: run.error?.code,
    hint: run.error?.hint ?? `./dbops logs ${shortId(run.id)}`,
  })
}

const colourState = (print: Context['print'], run: Run, text: string) => {
  const colour = stateColour(run.state)
  return colour ? print.colour(colour, text) : text
}

/** Columns for facts that stand two to the right. */
export const room = () => (process.stdout.isTTY ? process.stdout.columns || 100 : 160) - 2
