// What the tests of servers look at from outside: processes, temporary folders, and a parent that can be killed.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { createInterface } from 'node:readline'

/** Whether a process runs; one that has ended and was not yet buried does not. */
export function runs(pid: number | undefined): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** The temporary folders of servers of this very process and others. */
export const temporaryFolders = () => readdirSync(tmpdir()).filter(name => name.startsWith('dbops-'))

export interface Parent {
  process: ChildProcess
  url: string
  pid: number
}

/** Another node process that starts one server and then waits to be killed. */
export async function parentOf(
  start: 'startPostgres' | 'startRedis' | 'startNeo4j',
  options: object,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Parent> {
  const module = { startPostgres: 'postgres', startRedis: 'redis', startNeo4j: 'neo4j' }[start]
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
