// pg.slow-statements: every execution of a statement that is seen to run longer than the target's `slow` is told once, as the platform's own services tell theirs.
import { parseDuration } from '@dbops/contract/duration'
import { readSlow, slowReading } from '../statements/slow.ts'
import { defineProbe } from '../task.ts'

// Once a second for nine of every ten: what runs for twice `slow` is nearly always seen, what runs for half as long again every other time. A look costs the server less than a
// millisecond, and all of them share one session.
const samples = 10
const pause = 1_000

export default defineProbe({
  name: 'pg.slow-statements',
  summary: 'Statements that are seen to run longer than 1 s (`slow` of the target), each execution told once',
  every: '10s',
  timeout: '30s',
  result: slowReading,
  tells: ['db_query_slow'],
  gauges: ({ total, perHour, running }) => ({
    slow_statements_total: total,
    slow_statements_per_hour: perHour,
    slow_statements_running: running.length,
  }),
  compat: ({ total }) => ({ core_db_slow_queries_total: total }),
  look: c => readSlow(c, { slow: parseDuration(c.config.engine === 'pg' ? c.config.slow : '1s'), samples, pause }),
})
