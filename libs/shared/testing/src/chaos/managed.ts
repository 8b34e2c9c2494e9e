// A process of ours under a supervisor: started again whenever it ends, with every connection through a proxy of its own and a wall clock that can be stepped.
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, startChild } from '@dbops/servers/child'
import { type Proxy, startProxy } from '../proxy.ts'
import { sourceRoot } from '../source-copy.ts'
import type { AppName, Managed, ServerName } from './ground.ts'

export interface ManagedOptions {
  name: string
  app: AppName
  folder: string
  configFile: string
  /** The variable of the configuration that names each server, and the server's own URL. */
  servers: Partial<Record<ServerName, { variable: string; url: string }>>
  env: Record<string, string>
  /** The root of the source of the newer version; without it there is none. */
  newer?: string
  /** The library that lets a process see another wall clock; without it clocks are not stepped. */
  faketime?: string
}

export interface Supervised extends Managed, AsyncDisposable {
  /** How often it was started, and how it ended each time. */
  ends: string[]
  /** No further start: ends it orderly, and says within how many ms it was gone, or null when it had to be killed. */
  retire(): Promise<number | null>
}

/** How long a supervisor waits before it starts a process again: Kubernetes' first back-off is longer, systemd's is 100 ms. */
const restartAfter = 300
/** An orderly stop has ten seconds by its own promise; beyond that it is killed, and said. */
const stopWithin = 12_000

export async function startManaged(o: ManagedOptions): Promise<Supervised> {
  const proxies = new Map<ServerName, Proxy>()
  let env: Record<string, string> = { ...o.env }
  for (const [server, { variable, url }] of Object.entries(o.servers) as [ServerName, { variable: string; url: string }][]) {
    const proxy = await startProxy(url)
    proxies.set(server, proxy)
    env[variable] = proxy.url
  }
  const clockFile = join(o.folder, `${o.name}.clock`)
  const stepClock = (ms: number) => writeFileSync(clockFile, `${ms < 0 ? '-' : '+'}${Math.abs(ms) / 1_000}s`)
  stepClock(0)
  if (o.faketime)
    env = { ...env, LD_PRELOAD: o.faketime, FAKETIME_TIMESTAMP_FILE: clockFile, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }

  const logFile = join(o.folder, `${o.name}.log`)
  const ends: string[] = []
  let child: Child | null = null
  const retired = new AbortController()
  let tree = sourceRoot
  const supervise = async () => {
    while (!retired.signal.aborted) {
      const argv: [string, ...string[]] = [process.execPath, join(tree, 'apps', o.app, 'src/main.ts'), '--config', o.configFile]
      child = startChild(argv, { env: { ...process.env, ...env }, output: text => appendFileSync(logFile, text), orphanSignal: 'TERM' })
      const how = await child.ended
      ends.push(how)
      appendFileSync(logFile, `--- ended: ${how}\n`)
      child = null
      await sleep(restartAfter, undefined, { signal: retired.signal }).catch(() => undefined)
    }
  }
  const supervising = supervise()
  const stop = async (): Promise<number | null> => {
    const mine = child
    if (!mine) return 0
    const begun = performance.now()
    signal('SIGCONT')
    signal('SIGTERM')
    const inTime = await Promise.race([mine.ended.then(() => true), sleep(stopWithin, false, { ref: false })])
    if (inTime) return performance.now() - begun
    signal('SIGKILL')
    await mine.ended
    return null
  }
  function signal(signal: NodeJS.Signals) {
    if (child) process.kill(-child.pid, signal)
  }
  const retire = async () => {
    retired.abort()
    const took = await stop()
    await supervising
    await Promise.all([...proxies.values()].map(proxy => proxy.close()))
    return took
  }
  return {
    name: o.name,
    app: o.app,
    get pid() {
      return child?.pid ?? null
    },
    signal,
    restart: async version => {
      if (version) tree = version === 'newer' && o.newer ? o.newer : sourceRoot
      return stop()
    },
    proxy: server => proxies.get(server) ?? null,
    stepClock,
    ends,
    retire,
    [Symbol.asyncDispose]: async () => void (await retire()),
  }
}
