// Runs the program of the chaos run in a process of its own, which breaks what it starts and nothing else.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Context } from './command.ts'
import { exits } from './exits.ts'
import { Failed } from './fail.ts'
import { root } from './home.ts'

const program = join(root, 'libs/shared/testing/src/chaos/main.ts')

export async function chaos({ options, print }: Context): Promise<number> {
  const { minutes, seed, every, faults } = options as { minutes: number; seed: number; every: number; faults?: string }
  const file = faults && resolve(faults)
  if (file && !existsSync(file))
    throw new Failed('wrong', `there is no file ${faults}`, {
      code: 'no_file',
      hint: 'a run with violations says where it left its faults',
    })
  const args = ['--minutes', String(minutes), '--seed', String(seed), '--every', String(every)]
  if (file) args.push('--faults', file)
  if (print.json) args.push('--json')
  const child = spawn(process.execPath, [program, ...args], { cwd: root, stdio: 'inherit' })
  // Ctrl-C reaches it by the terminal; it puts right what it did and judges the history before it ends.
  const wait = () => undefined
  process.on('SIGINT', wait)
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  const code = await new Promise<number | null>((ended, failed) => child.once('exit', ended).once('error', failed))
  process.off('SIGINT', wait)
  return code === 0 ? exits.done : exits.failed
}
