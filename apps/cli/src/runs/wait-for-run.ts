// Waits for the end of a run; on a terminal one line says how it stands. Each attempt that fails and is made again is said.
import { setTimeout as sleep } from 'node:timers/promises'
import { formatDuration } from '@dbops/contract/duration'
import { isConnectionProblem, type Ledger } from '@dbops/ledger/ledger'
import { find, isFinal, type Run } from '@dbops/ledger/runs'
import { redact } from '@dbops/runtime/redact'
import { Failed } from '../fail.ts'
import { away } from '../moment.ts'
import { cut, shortId } from '../print.ts'
import { isTriedAgain, runWords, stateWords } from './run-record.ts'

const every = 250
/** A ledger that is away for longer (ms) is not waited for. */
const patience = 60_000

/** The run once it has ended; as it stands, when `signal` aborts or `within` ms have passed before. */
export async function waitForRun(
  ledger: Ledger,
  id: string,
  { within = Infinity, signal, quiet = false }: { within?: number; signal?: AbortSignal; quiet?: boolean } = {},
): Promise<Run> {
  const begun = performance.now()
  let heardAt = begun
  let run: Run | undefined
  let failed = 0
  using line = liveLine()
  for (;;) {
    try {
      run = (await find(ledger, id))[0]
      heardAt = performance.now()
    } catch (error) {
      if (!isConnectionProblem(error)) throw error
      if (performance.now() - heardAt > patience)
        throw new Failed('unreachable', 'the ledger does not answer any more', { cause: error, hint: goesOn(id) })
    }
    if (run && (isFinal(run.state) || signal?.aborted || performance.now() - begun >= within)) return run
    if (run && !quiet && isTriedAgain(run) && run.attempt > failed) {
      failed = run.attempt
      line.say(attemptWords(run))
    }
    line.show(run ? standing(run, performance.now() - begun) : 'the ledger does not answer')
    await sleep(Math.min(every, Math.max(1, within - (performance.now() - begun))), undefined, { signal }).catch(() => undefined)
  }
}

export const goesOn = (id: string) => `the run goes on: ./dbops runs show ${shortId(id)}; to stop it: ./dbops cancel ${shortId(id)}`

function attemptWords({ id, attempt, attempts, error, notBefore }: Run): string {
  const hint = error?.hint ? ` (hint: ${error.hint})` : ''
  return `run ${shortId(id)}: attempt ${attempt} of ${attempts} failed: ${error?.message ?? 'no reason was told'}${hint}; again ${away(notBefore, new Date())}`
}

function standing(run: Run, waited: number): string {
  const progress = run.progress as { done: number; total: number | null; unit: string; note?: string } | null
  const far =
    progress &&
    `${progress.done.toLocaleString('en')}${progress.total === null ? '' : ` of ${progress.total.toLocaleString('en')}`} ${progress.unit}`
  const about =
    run.state === 'running'
      ? [far, progress?.note]
      : isTriedAgain(run)
        ? [`attempt ${run.attempt + 1} of ${run.attempts} ${away(run.notBefore, new Date())}`]
        : [run.waitingFor && `waits for ${run.waitingFor}`]
  return [`${runWords(run)}: ${stateWords(run.state)}, ${formatDuration(waited)}`, ...about].filter(Boolean).join('  ')
}

/** One line on stderr that is drawn again and again, and gone in the end; nothing where stderr is no terminal. What is said stays, there and anywhere. */
function liveLine() {
  const { stderr } = process
  const clear = () => void (stderr.isTTY && stderr.write('\r\x1b[K'))
  return {
    say(text: string) {
      clear()
      stderr.write(`${redact(text)}\n`)
    },
    show: (text: string) => void (stderr.isTTY && stderr.write(`\r\x1b[K${cut(text, (stderr.columns || 80) - 1)}`)),
    [Symbol.dispose]: clear,
  }
}
