// A worker that stands still looks healthy from outside: it has to be told from one that has nothing to do.
import { openOffers, takeOffers } from '@dbops/runtime/queue'
import { blockingRedis, promptRedis } from '@dbops/runtime/redis'
import { until } from '@dbops/testing/until'
import { Worker } from 'bullmq'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, expect, inject, test } from 'vitest'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

function worker(handle: () => Promise<void> = async () => undefined) {
  const { queue, prompt, offers } = offering()
  const redis = blockingRedis(inject('redisUrl'), 'test')
  const taker = takeOffers(queue, redis, 1, handle)
  stops.push(
    async () => redis.disconnect(),
    () => taker.worker.close(true),
  )
  void taker.worker.run().catch(() => undefined)
  const offer = () => offers.offer(queue, [{ run: uuidv7(), dispatch: 0 }])
  return { taker, offer, offers, queue, prompt }
}
/** A queue that nobody takes from. */
function offering() {
  const queue = `test-${uuidv7()}`
  const prompt = promptRedis(inject('redisUrl'), 'test')
  const offers = openOffers(prompt)
  stops.push(
    async () => prompt.disconnect(),
    () => offers.close(),
  )
  return { queue, prompt, offers }
}
/** The longest silence that is seen in `ms`, asked as often as the page of a service is. */
async function longestSilence(silentFor: () => number, ms: number): Promise<number> {
  let longest = 0
  const end = performance.now() + ms
  await until(
    'the time is over',
    () => {
      longest = Math.max(longest, silentFor())
      return performance.now() > end
    },
    { within: ms + 1_000, every: 200 },
  )
  return longest
}

test('a worker that has nothing to do is heard of every few seconds', async () => {
  const { taker } = worker()
  await taker.worker.waitUntilReady()
  expect(await longestSilence(taker.silentFor, 8_000)).toBeLessThan(6_500)
})

test('one whose blocking read never comes back is not', async () => {
  const { taker } = worker()
  await taker.worker.waitUntilReady()
  const inside = taker.worker as unknown as { backend: { waitForJob(): Promise<never> } }
  inside.backend.waitForJob = () => new Promise(() => undefined)
  expect(await longestSilence(taker.silentFor, 13_000)).toBeGreaterThan(6_500)
})

test('one that has its hands full is not taken for one that stands still', async () => {
  let done: () => void = () => undefined
  const { taker, offer } = worker(() => new Promise(resolve => (done = resolve)))
  await until('its offer is in the queue', () => offer().then(() => true)) // a prompt connection fails until it is there
  const silence = await longestSilence(taker.silentFor, 8_000)
  done()
  expect(silence).toBeLessThan(6_500)
})

test('a job whose list was lost while its own key was not is offered again, one that only waits is left alone', async () => {
  const queue = `test-${uuidv7()}`
  const prompt = promptRedis(inject('redisUrl'), 'test')
  const offers = openOffers(prompt)
  stops.push(
    async () => prompt.disconnect(),
    () => offers.close(),
  )
  const [lost, waiting] = [
    { run: uuidv7(), dispatch: 3 },
    { run: uuidv7(), dispatch: 0 },
  ]
  await until('Redis is there', () => offers.counts(queue))
  await offers.offer(queue, [lost])
  await prompt.del(`{dbops}:${queue}:wait`)
  await offers.offer(queue, [waiting])
  const before = await offers.counts(queue)
  await offers.offerAgain(queue, [lost, waiting])
  expect([before['waiting'], (await offers.counts(queue))['waiting']]).toEqual([1, 2])
})

test('a job whose key was deleted while it waited does not stay in Redis', async () => {
  let handled = 0
  let letGo = () => {}
  const { offers, queue, prompt } = worker(async () => {
    if (handled++ === 0) await new Promise<void>(done => (letGo = done))
  })
  await until('Redis is there', () => prompt.ping())
  await offers.offer(queue, [{ run: uuidv7(), dispatch: 0 }])
  await until('the first is at work', () => handled === 1)
  const second = { run: uuidv7(), dispatch: 0 }
  const key = `{dbops}:${queue}:${second.run}-0`
  await offers.offer(queue, [second])
  await prompt.del(key)
  letGo()
  await until('both have been handed out', async () => handled === 2 && (await prompt.llen(`{dbops}:${queue}:active`)) === 0)
  expect([await prompt.exists(key), await prompt.zcard(`{dbops}:${queue}:completed`)]).toEqual([0, 0])
})

test('a job that was handed to a connection that is gone is handed out once more, before its lock is over', async () => {
  const { queue, prompt, offers } = offering()
  const offered = { run: uuidv7(), dispatch: 0 }
  await until('Redis is there', () => prompt.ping())
  await offers.offer(queue, [offered])
  const gone = new Worker(queue, null, { connection: { url: inject('redisUrl') }, prefix: '{dbops}' })
  const taken = await gone.getNextJob('gone')
  await gone.close(true)
  const handled: string[] = []
  const redis = blockingRedis(inject('redisUrl'), 'test')
  const taker = takeOffers(queue, redis, 1, async ({ run }) => void handled.push(run))
  stops.push(
    async () => redis.disconnect(),
    () => taker.worker.close(true),
  )
  void taker.worker.run()
  await offers.offerAgain(queue, [offered])
  await until('it is handed out', () => handled.length)
  // The one that nobody has is all that is left.
  const left = async () => Promise.all(['wait', 'active'].map(list => prompt.lrange(`{dbops}:${queue}:${list}`, 0, -1)))
  await until('that is over', async () => (await left())[1]!.length === 1)
  expect([taken?.data, handled, await left()]).toEqual([offered, [offered.run], [[], [`${offered.run}-0`]]])
})

test('a job that lies among the ended is offered again', async () => {
  const { queue, prompt, offers } = offering()
  const ended = { run: uuidv7(), dispatch: 0 }
  await until('Redis is there', () => offers.counts(queue))
  await offers.offer(queue, [ended])
  await prompt.lrem(`{dbops}:${queue}:wait`, 1, `${ended.run}-0`)
  await prompt.zadd(`{dbops}:${queue}:completed`, Date.now(), `${ended.run}-0`)
  await offers.offerAgain(queue, [ended])
  expect([await prompt.zcard(`{dbops}:${queue}:completed`), (await offers.counts(queue))['waiting']]).toEqual([0, 1])
})
