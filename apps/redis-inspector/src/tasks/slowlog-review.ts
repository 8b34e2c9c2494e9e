// redis.slowlog-review: what the slow log holds, by pattern: which kind of command costs the server the most, and whose it is.
import type { Fault } from '@dbops/contract/task'
import { z } from 'zod'
import { type Slow, slowLog } from '../slowlog/entries.ts'
import { defineTask } from '../task.ts'

const count = z.int().min(0)
/** Of the log, at most. */
const most = 1_024
/** Commands that go through all keys, or through all of a key, with what does the same in steps. */
const whole: Record<string, string> = {
  KEYS: 'SCAN with a COUNT, step by step',
  SMEMBERS: 'SSCAN, or a smaller set',
  HGETALL: 'HSCAN, or HMGET of the fields that are wanted',
  LRANGE: 'a page at a time',
  FLUSHALL: 'FLUSHALL ASYNC',
  FLUSHDB: 'FLUSHDB ASYNC',
  DEL: 'UNLINK, which frees a large key in the background',
  SORT: 'sorting where it is read',
}

export default defineTask({
  name: 'redis.slowlog-review',
  summary: 'Group the slow log by pattern: what costs the server the most, and whose it is',
  params: z.strictObject({}),
  result: z.strictObject({
    /** Null: the log is empty. */
    since: z.iso.datetime().nullable(),
    entries: count,
    patterns: z.array(
      z.strictObject({
        pattern: z.string(),
        count,
        totalMs: z.number(),
        maxMs: z.number(),
        lastAt: z.iso.datetime(),
        /** Names of the clients, ours among them. */
        clients: z.array(z.string()),
      }),
    ),
  }),
  lane: 'light',

  async run(c) {
    const entries = await slowLog(c.redis, most)
    const patterns = grouped(entries)
    await c.found(advice(patterns))
    return { since: entries.at(-1)?.at.toISOString() ?? null, entries: entries.length, patterns: patterns.slice(0, 50) }
  },
})

type Pattern = ReturnType<typeof grouped>[number]
/** The most expensive in all first. */
function grouped(entries: Slow[]) {
  return Object.entries(Object.groupBy(entries, ({ pattern }) => pattern))
    .map(([pattern, all = []]) => ({
      pattern,
      count: all.length,
      totalMs: Math.round(all.reduce((sum, { ms }) => sum + ms, 0) * 100) / 100,
      maxMs: Math.max(...all.map(({ ms }) => ms)),
      lastAt: new Date(Math.max(...all.map(({ at }) => at.getTime()))).toISOString(),
      clients: [...new Set(all.map(({ client }) => client).filter(Boolean))].slice(0, 10),
    }))
    .toSorted((a, b) => b.totalMs - a.totalMs)
}

/** ms from which a command that goes through everything is worth a change. */
const worthIt = 10
function advice(patterns: Pattern[]): Fault[] {
  return patterns.flatMap(({ pattern, count: times, maxMs, clients }) => {
    const better = whole[pattern.split(' ')[0]!]
    if (!better || maxMs < worthIt) return []
    return [
      {
        key: pattern,
        level: 'warning' as const,
        what: `${pattern} took up to ${maxMs} ms, ${times} times in the slow log${clients.length ? `, by ${clients.slice(0, 3).join(', ')}` : ''}: nobody is served meanwhile`,
        hint: `in place of it: ${better}`,
        evidence: { pattern, count: times, maxMs, clients },
      },
    ]
  })
}
