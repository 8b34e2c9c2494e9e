// redis.streams: every stream of the server with its groups: how much is unread, what was lost unread, what nobody acknowledges, and what was there and is gone.
import { z } from 'zod'
import { findStreams } from '../streams/find.ts'
import { goneFacts, judge, missed } from '../streams/judge.ts'
import { readStream, type StreamFacts, streamFacts } from '../streams/read.ts'
import { defineProbe } from '../task.ts'

/** Steps of SCAN per look: a server of three million keys is gone through in an hour and a half, one of some thousands at once. */
const steps = 60
/** Streams that are looked at. */
const most = 200

export default defineProbe({
  name: 'redis.streams',
  summary: 'Streams and their groups: unread, lost unread, pending for long, poison, dead consumers, what was there and is gone',
  every: '60s',
  timeout: '30s',
  result: z.strictObject({
    streams: z.array(streamFacts),
    gone: z.array(goneFacts),
    /** Where the search for streams goes on. */
    cursor: z.string(),
    /** Streams beyond the first 200, which are not looked at. */
    left: z.int().min(0),
    /** Streams that this user may not look at. */
    refused: z.array(z.string()),
  }),
  tells: ['redis_stream_data_loss'],
  gauges: ({ streams }) => {
    const each = (value: (group: StreamFacts['groups'][number]) => number | null) =>
      streams.flatMap(({ stream, groups }) => groups.map(group => ({ labels: { stream, group: group.group }, value: value(group) })))
    return {
      redis_stream_length: streams.map(({ stream, length }) => ({ labels: { stream }, value: length })),
      redis_stream_unread: each(group => group.unread),
      redis_stream_pending: each(group => group.pending),
      redis_stream_lost: each(group => group.lost),
    }
  },
  async look(c) {
    const now = new Date()
    const before = c.last ? { at: c.last.at, ...c.last.result } : undefined
    const found = await findStreams(c.redis, before?.cursor ?? '0', steps)
    const known = [...(before?.streams ?? []), ...(before?.gone ?? [])].map(({ stream }) => stream)
    // Those of the last look first: one that is not looked at any more would pass for one that is gone.
    const names = [...new Set([...known, ...found.names.toSorted()])]
    const streams: StreamFacts[] = []
    const refused: string[] = []
    for (const name of names.slice(0, most))
      try {
        const facts = await readStream(c.redis, name)
        if (facts) streams.push(facts)
      } catch (error) {
        const { message } = error as Error
        if (!message.startsWith('NOPERM')) throw error
        refused.push(name)
      }
    const gone = missed(now, streams, before).filter(({ stream }) => !refused.includes(stream))
    for (const fault of judge(now, streams, gone, before)) c.find(fault)
    if (refused.length)
      c.find({
        key: 'rights',
        level: 'warning',
        what: `${refused.length} streams may not be looked at: ${refused.slice(0, 3).join(', ')}`,
        hint: 'ACL SETUSER <user of the target> %R~* +xinfo|stream +xinfo|groups +xinfo|consumers +xpending +xrange',
      })
    return { streams, gone, cursor: found.cursor, left: Math.max(0, names.length - most), refused }
  },
})
