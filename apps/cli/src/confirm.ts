// The question before something is written or deleted where it hurts.
import { createInterface } from 'node:readline/promises'
import { Failed } from './fail.ts'

/**
 * Asks on a terminal; `--yes` is the answer in advance. Without a terminal and without `--yes`, and on any answer but yes, it fails with
 * exit 2. Nothing is asked outside of `prod`, unless `always`. An environment that nobody knows is taken for `prod`.
 */
export async function confirm(environment: string | undefined, what: string, { yes = false, always = false } = {}): Promise<void> {
  if (yes || (!always && environment !== undefined && environment !== 'prod')) return
  const where = `environment ${environment ?? 'unknown'}`
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw new Failed('wrong', `not done without an answer: ${what} (${where})`, { code: 'needs_yes', hint: 'say --yes' })
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // Ctrl-C and Ctrl-D at the question are a no.
  const answer = await new Promise<string>(resolve => {
    terminal.once('close', () => resolve(''))
    terminal.question(`${what}? (${where}) [y/N] `).then(resolve, () => resolve(''))
  })
  terminal.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failed('wrong', `not done: ${what}`, { code: 'answered_no' })
}
