// What the tests of servers look at from outside: processes, and a parent that can be killed.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** Whether a process runs; one that has ended and was not yet buried does not. */
export function runs(pid: number | undefined): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Kills the shell that watches over a server. */
export function killWatchdogOf(server: number): void {
  const commands = readdirSync('/proc').filter(name => /^\d+$/.test(name))
  const watchdog = commands.find(pid => commandOf(pid).includes(`watchdog\0INT\0${server}\0`))
  if (!watchdog) throw new Error(`server ${server} has no watchdog`)
  process.kill(Number(watchdog), 'SIGKILL')
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

export interface Parent {
  process: ChildProcess
  url: string
  pid: number
}

/** Another node process that starts one server and then waits to be killed. */
export async function parentOf(
  start: 'startPostgres' | 'startRedis' | 'startNeo4j' | 'startScratchPostgres',
  options: object,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Parent> {
  const module = { startPostgres: 'postgres', startRedis: 'redis', startNeo4j: 'neo4j', startScratchPostgres: 'scratch-postgres' }[start]
  const script = `
    const { ${start} } = await import(${JSON.stringify(new URL(`../src/${module}.ts`, import.meta.url).href)})
    const { url, pid } = await ${start}(${JSON.stringify(options)})
    console.log(JSON.stringify({ url, pid }))
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'], env })
  const [line] = (await Promise.race([
    once(createInterface(child.stdout), 'line'),
    once(child, 'exit').then(() => Promise.reject(new Error(`the parent of ${start} has ended`))),
  ])) as [string]
  return { process: child, ...(JSON.parse(line) as { url: string; pid: number }) }
}
