// Starts a script beside this file under the same node, alone or inside a mount of its own, and ends it with the test.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const script = (name: string) => join(import.meta.dirname, 'children', name)

export function startChild(name: string, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [script(name), ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

/** Mounts live in a namespace of the child, so that none is left behind however it ends. Without root, a user namespace lends the right to mount. */
const unshare = ['unshare', '--mount', ...(process.getuid?.() === 0 ? [] : ['--map-root-user'])]
const inMount = (options: string) => [...unshare, 'sh', '-c', `mount -t tmpfs -o ${options} none "$1" && shift && exec "$@"`, 'sh']

/** False where a container forbids mounts; the tests that need a small disk are then skipped, and say so. */
export const canMount = spawnSync(unshare[0]!, [...unshare.slice(1), 'sh', '-c', 'mount -t tmpfs -o size=1m none /mnt']).status === 0
if (!canMount)
  console.warn('SKIPPED: this process may not mount a tmpfs, so nobody has looked at what happens in a full or a read-only store')

/** Runs the script with `folder` being a tmpfs, and returns the JSON that it prints. */
export async function runInMount(options: string, folder: string, name: string, ...args: string[]): Promise<unknown> {
  const [command, ...before] = inMount(options)
  const child = spawn(command!, [...before, folder, process.execPath, script(name), folder, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const printed = await Array.fromAsync(child.stdout as AsyncIterable<Buffer>)
  if (child.exitCode === null) await once(child, 'exit')
  return JSON.parse(Buffer.concat(printed).toString('utf8'))
}
