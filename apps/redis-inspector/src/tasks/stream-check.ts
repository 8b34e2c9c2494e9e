// redis.stream-check: all streams of a server at once, for a person who wants to know now; what it finds the probe redis.streams tells.
import { setTimeout as sleep } from 'node:timers/promises'
import { severities } from '@dbops/contract/signals'
import { z } from 'zod'
import { allStreams } from '../streams/find.ts'
import { judge } from '../streams/judge.ts'
import { readStream, type StreamFacts, streamFacts } from '../streams/read.ts'
import { defineTask } from '../task.ts'

/** ms between two readings of the streams: how many entries come meanwhile is the pace. */
const between = 5_000

export default defineTask({
  name: 'redis.stream-check',
  summary: 'Look at every stream: unread, lost unread, pending, dead consumers, and when what is unread will be trimmed',
  params: z.strictObject({}),
  result: z.strictObject({
    streams: z.array(streamFacts),
    faults: z.array(z.strictObject({ level: z.enum(severities), what: z.string(), hint: z.string().nullable() })),
    /** Of the database, all of which were gone through. */
    keys: z.int().min(0),
  }),
  lane: 'light',
  timeout: '30m',

  async run(c) {
    const { names, keys } = await allStreams(c)
    const read = async () => {
      const streams: StreamFacts[] = []
      for (const name of names) {
        c.signal.throwIfAborted()
        const facts = await readStream(c.redis, name)
        if (facts) streams.push(facts)
      }
      return { at: new Date(), streams, gone: [] }
    }
    const first = await read()
    if (names.length) await sleep(between, undefined, { signal: c.signal })
    const { at, streams } = names.length ? await read() : first
    const faults = judge(at, streams, [], first)
    return { streams, faults: faults.map(({ level, what, hint = null }) => ({ level, what, hint })), keys }
  },
})
