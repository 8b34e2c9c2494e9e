// `down`: asks the `up` of a home to stop and waits; with --purge the home goes, and what goes is said first.
import { existsSync, globSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../command.ts'
import { confirm } from '../confirm.ts'
import { Failed } from '../fail.ts'
import { environmentOf, findHome, processOfUp, runningUp } from '../home.ts'

/** Milliseconds: `up` takes 15 s at most. */
const patience = 20_000

export async function down({ options, print }: Context): Promise<void> {
  const home = findHome()
  const environment = runningUp(home)?.environment ?? environmentOf(home)
  const pid = processOfUp(home)
  if (environment) print.environment(environment)
  if (options['purge']) await confirm(environment, `Remove ${home} with ${contents(home)}`, { yes: options.yes, always: true })
  if (pid !== undefined) await stop(home, pid)
  const stopped = pid !== undefined
  if (options['purge']) await purge(home)
  print.record({ home, stopped, purged: Boolean(options['purge']) })
  print.line(stopped ? `stopped (pid ${pid}, ${home})` : `nothing runs on ${home}`)
  if (options['purge']) print.line(`removed ${home}`)
}

async function stop(home: string, pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM')
  const deadline = performance.now() + patience
  while (processOfUp(home) === pid) {
    if (performance.now() > deadline)
      throw new Failed('timedOut', `up (pid ${pid}) still runs after ${patience / 1_000} s`, {
        hint: `kill -9 ${pid} ends it and all that it has started`,
      })
    await sleep(50)
  }
}

const contents = (home: string) => {
  const backups = globSync(join(home, 'stores/**/manifest.json')).length
  return `the ledger, the sample, the logs and ${backups === 1 ? '1 backup' : `${backups} backups`}`
}

/** Only what `up` has put there: a home may be a folder with other things in it. */
async function purge(home: string): Promise<void> {
  const { removeServers } = await import('./servers.ts')
  await removeServers(home)
  for (const name of ['stores', 'logs', 'environment', 'up.json', 'up.json.new', 'up.claim'])
    rmSync(join(home, name), { recursive: true, force: true })
  try {
    if (existsSync(home)) rmdirSync(home)
  } catch {
    // Something else lives there.
  }
}
