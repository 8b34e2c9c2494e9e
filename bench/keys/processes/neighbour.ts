// Others on the same Redis at a fixed rate, while it is looked through: each reads a key and writes one. Their time counts from the moment at which it was due.
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

const clients = 4
/** Per second, of each. */
const rate = 100

/** When it was due (epoch, ms) and how long it took (ms). */
const done: [at: number, took: number][] = []
process.on('disconnect', () => process.exit())
process.on('message', () => process.send!(done.splice(0)))

const work = async (index: number) => {
  const redis = new Redis(process.env['BENCH_URL']!)
  for (let due = performance.now() + (index * 1_000) / rate / clients; ; due += 1_000 / rate) {
    const early = due - performance.now()
    if (early > 0) await sleep(early)
    const n = Math.floor(Math.random() * 100_000)
    await Promise.all([redis.get(`cache:view:${n}`), redis.set(`neighbour:${n % 100}`, n)])
    done.push([performance.timeOrigin + due, performance.now() - due])
  }
}
for (let index = 0; index < clients; index++) void work(index)
process.send!('ready')
