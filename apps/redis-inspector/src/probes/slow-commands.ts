// redis.slow-commands: every command that kept the server for longer than 100 ms is told once: nobody else is served meanwhile.
import { z } from 'zod'
import { isOurs, slowLog } from '../slowlog/entries.ts'
import { defineProbe } from '../task.ts'

/** ms (mission.md, the table of events). */
const slow = 100
/** Told at one reading: a server that is in trouble has thousands. */
const most = 20
const count = z.int().min(0)

export default defineProbe({
  name: 'redis.slow-commands',
  summary: 'Commands that kept the server for longer than 100 ms, each told once',
  every: '30s',
  result: z.strictObject({
    /** The newest entry of the slow log; -1: it is empty. One that is smaller than before: the server was restarted, or somebody emptied the log. */
    newest: z.int().min(-1),
    /** Of the last look: longer than 100 ms, and not ours. */
    slow: z.array(z.strictObject({ at: z.iso.datetime(), ms: z.number(), pattern: z.string(), client: z.string() })),
    /** Since this was first looked at. */
    total: count,
    /** There were more than the log holds since the last look: some were not seen. */
    overflowed: z.boolean(),
  }),
  tells: ['redis_command_slow'],
  gauges: ({ total }) => ({ redis_slow_commands_total: total }),
  async look(c) {
    const before = c.last?.result
    const entries = await slowLog(c.redis, 128)
    const newest = entries[0]?.id ?? -1
    // At the first look what lies there is history, and not news.
    const isReset = before !== undefined && newest < before.newest
    const fresh = before === undefined ? [] : isReset ? entries : entries.filter(({ id }) => id > before.newest)
    const found = fresh.filter(one => one.ms > slow && !isOurs(one))
    for (const { at, ms, pattern, client } of found.slice(0, most).toReversed())
      c.tell('redis_command_slow', {
        duration_ms: ms,
        query: pattern,
        params_count: null,
        application: client || null,
        source: 'slowlog',
        occurred_at: at.toISOString(),
      })
    return {
      newest,
      slow: found.slice(0, most).map(({ at, ms, pattern, client }) => ({ at: at.toISOString(), ms, pattern, client })),
      total: (before?.total ?? 0) + found.length,
      overflowed: before !== undefined && !isReset && before.newest >= 0 && entries.length > 0 && entries.at(-1)!.id > before.newest + 1,
    }
  },
})
