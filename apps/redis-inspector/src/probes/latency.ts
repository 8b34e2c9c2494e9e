// redis.latency: how long a server takes to answer what costs it nothing, and what it says itself of its pauses.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { defineProbe } from '../task.ts'

/** Round trips of one look, and ms between two of them: over two seconds, so that a pause of a fifth of one is met. */
const [asked, pause] = [20, 100]
/** ms: an event of the server that was so long in the last look's time is worth a word. */
const long = 200
const time = z.number().min(0)

export default defineProbe({
  name: 'redis.latency',
  summary: 'How long a PING takes, and pauses that the server noted of itself (fork, disk, expiry)',
  every: '60s',
  timeout: '20s',
  result: z.strictObject({
    /** Of 20 round trips, the network's time among it. */
    pingMs: z.strictObject({ p50: time, max: time }),
    /** As LATENCY LATEST has them; none where `latency-monitor-threshold` is 0, which is its default. Null: this user may not ask. */
    events: z.array(z.strictObject({ event: z.string(), at: z.iso.datetime(), latestMs: time, maxMs: time })).nullable(),
  }),
  gauges: ({ pingMs, events }) => ({
    redis_ping_seconds: [
      { labels: { quantile: '0.5' }, value: pingMs.p50 / 1_000 },
      { labels: { quantile: '1' }, value: pingMs.max / 1_000 },
    ],
    redis_latency_event_seconds: (events ?? []).map(({ event, latestMs }) => ({ labels: { event }, value: latestMs / 1_000 })),
  }),
  async look(c) {
    const took: number[] = []
    for (let n = 0; n < asked; n++) {
      const at = performance.now()
      await c.redis.command('PING')
      took.push(performance.now() - at)
      await sleep(pause, undefined, { signal: c.signal })
    }
    took.sort((a, b) => a - b)
    const events = await c.redis.command<[event: string, at: number, latest: number, max: number][]>('LATENCY', 'LATEST').then(
      all => all.map(([event, at, latestMs, maxMs]) => ({ event, at: new Date(at * 1_000).toISOString(), latestMs, maxMs })),
      (error: Error) => {
        if (error.message.startsWith('NOPERM')) return null
        throw error
      },
    )
    const since = c.last?.at.getTime() ?? Date.now() - 60_000
    for (const { event, at, latestMs } of events ?? [])
      if (latestMs >= long && Date.parse(at) >= since - 1_000)
        c.find({
          key: event,
          level: 'warning',
          what: `${event} kept the server for ${latestMs} ms, and nobody else was served`,
          hint: hints[event] ?? 'LATENCY DOCTOR has advice; redis.slow-commands names the command, where it was one',
        })
    return { pingMs: { p50: round(took[Math.floor(asked / 2)]!), max: round(took.at(-1)!) }, events }
  },
})

const round = (ms: number) => Math.round(ms * 1_000) / 1_000

const hints: Record<string, string> = {
  fork: 'its memory is copied for a save or a rewrite of the AOF: transparent huge pages off; save on a replica',
  command: 'redis.slow-commands names it',
  'fast-command': 'a command that is cheap took long: the machine was busy with others, or swaps',
  'aof-fsync-always': 'appendfsync everysec, or a faster disk',
  'aof-write-pending-fsync': 'the disk does not keep up: a faster one, or no-appendfsync-on-rewrite yes',
  'expire-cycle': 'many keys end in the same moment: scatter their times to live',
  'eviction-cycle': 'it frees memory while it serves: more maxmemory, or lazyfree-lazy-eviction yes',
  'rdb-unlink-temp-file': 'a large file was deleted: a faster disk, or another file system',
}
