// A maintainer: takes the runs of its engine in hand, lane by lane, and takes the readings of its probes. Each app that maintains an engine is one call of this.
import { randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { openStore } from '@dbops/artifacts/open-store'
import { failureOf, Problem } from '@dbops/contract/failure'
import { type Lane, lanes, type Probe, type Task } from '@dbops/contract/task'
import { isConnectionProblem } from '@dbops/ledger/ledger'
import * as runs from '@dbops/ledger/runs'
import { Abort } from './abort.ts'
import type { App } from './config-owners.ts'
import type { EngineDriver, Finding, OpenTarget } from './engine.ts'
import { Lease, Leases } from './leases.ts'
import { type Offer, queueName, takeOffers } from './queue.ts'
import { redact } from './redact.ts'
import { runProbes } from './run-probes.ts'
import { runAttempt } from './run-task.ts'
import { type Service, startService } from './service.ts'

/** How many runs of a lane one process has in hand at a time. */
const perLane: Record<Lane, number> = { heavy: 2, light: 4 }

export interface Maintainer<Verbs> {
  app: App
  driver: EngineDriver<Verbs>
  /** The folder that has `tasks/` and `probes/`; each file in them is one. */
  folder: string
}

export const startMaintainer = <Verbs>(m: Maintainer<Verbs>): Promise<void> => startService(m.app, service => maintain(service, m))

/** Runs a maintainer in a service that is there already. */
export async function maintain<Verbs>(service: Service, m: Maintainer<Verbs>): Promise<void> {
  const tasks = new Map((await loadFolder<Task<Verbs>>(`${m.folder}/tasks`)).map(task => [task.name, task]))
  const probes = await loadFolder<Probe<Verbs>>(`${m.folder}/probes`)
  const targets = targetsOf(service, m.driver)
  const leases = new Leases()
  const inHand = new Set<string>()

  service.loop({
    name: 'heartbeat',
    every: service.timers.heartbeat,
    wake: 'dbops_cancel',
    always: true,
    turn: () => leases.beat(service.ledger.apart, service.timers.lease),
  })

  const take = async (offer: Offer) => {
    if (inHand.has(offer.run)) return
    if (service.signal.aborted) return void (await runs.sendBackUnclaimed(service.ledger, offer.run, offer.dispatch).catch(() => undefined))
    inHand.add(offer.run)
    try {
      await work(service, m, tasks, targets, leases, offer)
    } catch (error) {
      // The job is dropped; the ledger still has the run, and offers it again.
      service.log.warn(
        { event: 'claim_failed', run: offer.run, error },
        `run ${offer.run} could not be claimed: ${redact((error as Error).message)}`,
      )
    } finally {
      inHand.delete(offer.run)
    }
  }

  // A lane without tasks would only say that it is there.
  const mine = new Set([...tasks.values()].map(({ lane }) => lane))
  const sizes = new Map([...laneSizes(service)].filter(([lane]) => mine.has(lane)))
  const workers = [...sizes].map(([lane, size]) => {
    const queue = queueName(m.driver.engine, lane)
    const taker = takeOffers(queue, service.redis('blocking'), size, take)
    service.mustTurn(`the worker of ${queue}`, taker.silentFor)
    return taker.worker
  })
  for (const worker of workers)
    void worker.run().catch((error: Error) => service.log.error({ event: 'worker_failed', error }, error.message))
  // Without a Redis that can be trusted nothing is taken; what is in hand goes on.
  service.loop({
    name: 'gate',
    every: 500,
    always: true,
    turn: async () => {
      const open = service.isReady()
      for (const worker of workers) {
        if (open && worker.isPaused()) await worker.resume()
        else if (!open && !worker.isPaused()) await worker.pause(true)
      }
    },
  })
  // At once: a worker that goes on taking jobs only to send them back would keep the dispatcher busy until it is closed.
  service.signal.addEventListener('abort', () => workers.forEach(worker => void worker.pause(true).catch(() => undefined)), { once: true })
  service.onStop(async () => {
    // close() waits for the work in hand, which has been told to let go, and never returns while Redis is away: then it is forced, which may leave a job to BullMQ's locks.
    const patience = (ms: number) => sleep(ms, undefined, { ref: false })
    let closed = false
    await Promise.race([Promise.all(workers.map(worker => worker.close())).then(() => (closed = true)), patience(8_000)])
    if (!closed) await Promise.race([Promise.all(workers.map(worker => worker.close(true))), patience(500)])
  })

  runProbes(service, m.driver, probes, [...targets.values()])
  Object.assign(service.detail, {
    engine: m.driver.engine,
    lanes: Object.fromEntries(sizes),
    tasks: [...tasks.keys()],
    targets: [...targets.keys()],
  })
  service.loop({
    name: 'findings',
    every: 60_000,
    always: true,
    turn: async () => void (service.detail['findings'] = await findings(service, m, tasks, targets)),
  })
  service.metrics.gauge('dbops_runs_in_hand', 'runs that this process works on', []).set(0)
  service.loop({
    name: 'gauges',
    every: 5_000,
    always: true,
    turn: async () => service.metrics.gauge('dbops_runs_in_hand', 'runs that this process works on', []).set(leases.size),
  })
}

async function work<Verbs>(
  service: Service,
  m: Maintainer<Verbs>,
  tasks: Map<string, Task<Verbs>>,
  targets: Map<string, OpenTarget>,
  leases: Leases,
  { run: id, dispatch }: Offer,
): Promise<void> {
  const { sentAt, claimed } = await claim(service, { run: id, dispatch, key: randomUUID(), tasks: [...tasks.keys()] })
  if (claimed.kind !== 'claimed') return
  const { run, lostFences, locks, lastLine } = claimed
  const abort = Abort.with(service.signal)
  const lease = new Lease(run.fence!, sentAt, service.timers.lease, abort.controller)
  const letGo = leases.hold(lease)
  try {
    const target = run.target === null ? null : (targets.get(run.target) ?? unknownTarget(run.target, m.app))
    const task = tasks.get(run.task)!
    await runAttempt({
      service,
      driver: m.driver,
      task,
      run,
      target,
      store: () => storeOf(service, run),
      lostFences,
      locks,
      lastLine,
      lease,
      abort: abort.controller,
    })
  } catch (error) {
    const told = failureOf(error)
    await runs.requeue(service.ledger, {
      fence: run.fence!,
      after: service.timers.lease,
      as: 'later',
      waitingFor: redact(told.message),
      error: { ...told, message: redact(told.message) },
    })
  } finally {
    letGo()
    abort.release()
  }
}

/** Asks until there is an answer: a claim whose reply was lost may have been taken, and would cost its run an attempt. The same key gets the same answer. */
async function claim(
  service: Service,
  delivery: Omit<runs.Delivery, 'worker' | 'leaseMs'>,
): Promise<{ sentAt: number; claimed: runs.Claim }> {
  for (;;) {
    const sentAt = performance.now()
    try {
      const claimed = await service.ledger.transaction(db =>
        runs.claim(db, { ...delivery, worker: service.name, leaseMs: service.timers.lease }),
      )
      return { sentAt, claimed }
    } catch (error) {
      if (!isConnectionProblem(error) || service.signal.aborted) throw error
      await sleep(500, undefined, { ref: false })
    }
  }
}

const unknownTarget = (name: string, app: string): never => {
  throw new Problem(`${app} has no target "${name}" in its configuration`, { hint: 'give every service the same file' })
}

/** The store of a run that produces something: the one that its entry of the configuration names, as it was at the run's birth. */
async function storeOf(service: Service, run: runs.Run) {
  const entry = Object.values(run.spec.entries)[0] as { stores?: string[] } | undefined
  const name = entry?.stores?.[0]
  const store = name === undefined ? undefined : service.config.stores[name]
  if (!name || !store)
    throw new Problem(`the store "${name}" is not configured`, { code: 'store_unavailable', hint: 'give every service the same file' })
  return openStore(name, store)
}

function targetsOf<Verbs>(service: Service, driver: EngineDriver<Verbs>): Map<string, OpenTarget> {
  const mine = Object.entries(service.config.targets).filter(([, target]) => target.engine === driver.engine)
  return new Map(mine.map(([name, config]) => [name, { name, config, environment: service.config.environment }]))
}

/** `--lanes heavy,light --concurrency heavy=2`: which lanes this process serves, and how many runs of each at a time. */
function laneSizes(service: Service): Map<Lane, number> {
  const wanted = (service.option('lanes')?.split(',') ?? [...lanes]) as Lane[]
  const sizes = new Map(wanted.map(lane => [lane, perLane[lane]]))
  for (const [lane, size] of (service.option('concurrency')?.split(',') ?? []).map(pair => pair.split('=') as [Lane, string]))
    sizes.set(lane, Number(size))
  const bad = [...sizes].find(([lane, size]) => !lanes.includes(lane) || !Number.isInteger(size) || size < 1)
  if (bad)
    throw new Problem(`--lanes/--concurrency: "${bad[0]}=${bad[1]}" is no lane with a number`, {
      code: 'bad_option',
      hint: `lanes are ${lanes.join(' and ')}: --lanes heavy,light --concurrency heavy=2`,
    })
  return sizes
}

async function findings<Verbs>(
  service: Service,
  m: Maintainer<Verbs>,
  tasks: Map<string, Task<Verbs>>,
  targets: Map<string, OpenTarget>,
): Promise<Finding[]> {
  // All at once: many that cannot be reached would take many times their ten seconds.
  const inspected = [...targets.values()].map(async (target): Promise<Finding[]> => {
    try {
      return (await m.driver.inspect?.(target, AbortSignal.any([service.signal, AbortSignal.timeout(10_000)]))) ?? []
    } catch (error) {
      const told = failureOf(error)
      return [{ target: target.name, level: 'error', what: redact(told.message), ...(told.hint ? { hint: redact(told.hint) } : {}) }]
    }
  })
  return [...((await m.driver.tools?.()) ?? []), ...(await Promise.all(inspected)).flat()]
}

/** The default exports of the `.ts` files in a folder; none where there is no such folder. */
export async function loadFolder<T>(folder: string): Promise<T[]> {
  let names: string[]
  try {
    names = readdirSync(folder).filter(name => name.endsWith('.ts'))
  } catch {
    return []
  }
  return Promise.all(names.sort().map(async name => ((await import(pathToFileURL(`${folder}/${name}`).href)) as { default: T }).default))
}
