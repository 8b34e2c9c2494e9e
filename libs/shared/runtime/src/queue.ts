// BullMQ as what it is here: a way to hand out work and to bound concurrency. Attempts, back-off and take-over are the ledger's.
import { type Job, Queue, Worker } from 'bullmq'
import type { Redis } from 'ioredis'

/** What a job carries: no parameters and no secrets, only which run, and which of its dispatches. */
export interface Offer {
  run: string
  dispatch: number
}

export const prefix = '{dbops}'
// A kept finished job would silently block a later one of the same id, and BullMQ's own retries would run work that the ledger has ended.
const once = { attempts: 1, removeOnComplete: true, removeOnFail: true }

export const queueName = (engine: string, lane: string) => `${engine}-${lane}`

export interface Offers {
  /** Puts jobs into a queue under `<run>-<dispatch>`: nothing happens for those that are there. Fails at once while Redis is away. */
  offer(queue: string, offers: Offer[]): Promise<void>
  /**
   * The same for those that nobody claimed: one that only its own key is left of, or that lies among the ended, would otherwise pass for one that is there, and one that was
   * handed out is handed out once more.
   */
  offerAgain(queue: string, offers: Offer[]): Promise<void>
  counts(queue: string): Promise<Record<string, number>>
  close(): Promise<void>
}

export function openOffers(redis: Redis): Offers {
  const queues = new Map<string, Queue<Offer>>()
  const queueOf = (name: string) => {
    const known = queues.get(name)
    if (known) return known
    const queue = new Queue<Offer>(name, { connection: redis, prefix, skipVersionCheck: true })
    queue.on('error', () => undefined)
    queues.set(name, queue)
    return queue
  }
  const idOf = ({ run, dispatch }: Offer) => `${run}-${dispatch}`
  const add = async (name: string, offers: Offer[], suffix: string) =>
    void (await queueOf(name).addBulk(offers.map(data => ({ name: 'run', data, opts: { ...once, jobId: idOf(data) + suffix } }))))
  const offer: Offers['offer'] = (name, offers) => add(name, offers, '')
  return {
    offer,
    async offerAgain(name, offers) {
      await offer(name, offers)
      const states = await Promise.all(offers.map(each => queueOf(name).getJobState(idOf(each))))
      // A job whose key, and with it its options, was deleted while it waited stays among the ended: it is these that say it is not kept.
      const notThere = offers.filter((_, i) => ['unknown', 'completed', 'failed'].includes(states[i]!))
      await Promise.all(notThere.map(each => queueOf(name).remove(idOf(each))))
      if (notThere.length) await offer(name, notThere)
      // A Redis that was frozen and goes on carries out what its clients have long given up: it hands jobs to connections that are gone, and BullMQ looks for such only when
      // their locks are over, after 30 to 45 s. Two jobs of one run do no harm: whoever comes second finds it claimed.
      const handedOut = offers.filter((_, i) => states[i] === 'active')
      if (handedOut.length) await add(name, handedOut, '-again')
    },
    counts: name => queueOf(name).getJobCounts('waiting', 'active'),
    close: async () => void (await Promise.allSettled([...queues.values()].map(queue => queue.close()))),
  }
}

export interface Taker {
  worker: Worker<Offer>
  /** For how long, in ms, it has been free to take work and has had no answer to its blocking read, which ends every two seconds. To be asked now and then. */
  silentFor(): number
}

/** Takes jobs from a queue, `concurrency` at a time. The handler's errors are its own affair: a job is done when it returns. */
export function takeOffers(name: string, redis: Redis, concurrency: number, handle: (offer: Offer) => Promise<void>): Taker {
  // BullMQ reads in a copy of the connection, made by this: what arrives there tells whether it still turns.
  let reading: Redis | undefined
  const duplicate = redis.duplicate.bind(redis)
  redis.duplicate = override => {
    reading = duplicate(override)
    return reading
  }
  let inHand = 0
  let at = performance.now()
  let last: number | undefined
  const worker = new Worker<Offer>(
    name,
    // Written out with three parameters: BullMQ passes its signal only then (and we take ours from the ledger).
    async (job: Job<Offer>, _token: string | undefined, _signal: AbortSignal | undefined) => {
      inHand++
      try {
        await handle(job.data)
      } finally {
        inHand--
        at = performance.now()
      }
    },
    {
      connection: redis,
      prefix,
      concurrency,
      // For a job that has lost its own options.
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
      maxStalledCount: 0,
      stalledInterval: 15_000,
      lockDuration: 30_000,
      drainDelay: 2, // seconds of a blocking read: how long a stop may wait for one
      autorun: false,
      skipVersionCheck: true,
    },
  )
  worker.on('error', () => undefined)
  return {
    worker,
    silentFor() {
      const arrived = reading?.stream?.bytesRead
      if (arrived !== last || inHand >= concurrency || worker.isPaused()) at = performance.now()
      last = arrived
      return performance.now() - at
    },
  }
}
