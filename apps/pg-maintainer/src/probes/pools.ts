// pg.pools: the platform's connection pools from the server's side, against their plan. Numbers and names of the metrics are the platform's own (core_db_pool_…).
import { z } from 'zod'
import { faultsOf } from '../pools/faults.ts'
import { type MeasuredPool, measuredPool, measurePool } from '../pools/measure.ts'
import { sessionGroups } from '../pools/sessions.ts'
import { defineProbe } from '../task.ts'

const connectionLimit = `
  SELECT current_setting('max_connections')::int
         - current_setting('superuser_reserved_connections')::int - coalesce(current_setting('reserved_connections', true)::int, 0) AS available`

export default defineProbe({
  name: 'pg.pools',
  summary: 'Connection pools of the services: sessions against size, overflow and limit, and the sum of the plan against the server',
  every: '10s',
  result: z.strictObject({
    pools: z.array(measuredPool),
    /** What all pools may take together, if all are full. */
    planned: z.int(),
    /** What the server has for roles that are no superusers. */
    available: z.int(),
  }),
  tells: ['db_pool_overflow', 'db_pool_exhausted', 'db_pool_recovered', 'finding_opened', 'finding_gone'],
  gauges: ({ pools, planned, available }) => ({
    pool_size: byPool(pools, 'size'),
    pool_limit: byPool(pools, 'limit'),
    pool_active_connections: byPool(pools, 'active'),
    pool_overflow: byPool(pools, 'overflow'),
    pool_checkedout: byPool(pools, 'checkedout'),
    pool_planned_connections: planned,
    pool_available_connections: available,
  }),
  compat: ({ pools }) => ({
    core_db_pool_size: byPool(pools, 'size'),
    core_db_pool_active_connections: byPool(pools, 'active'),
    core_db_pool_overflow: byPool(pools, 'overflow'),
    core_db_pool_checkedout: byPool(pools, 'checkedout'),
  }),
  async look(c) {
    const plan = Object.entries(c.entries.pools)
    const groups = plan.length ? await sessionGroups(c.pg) : []
    const [{ available }] = (await c.pg.query<{ available: number }>(connectionLimit)) as [{ available: number }]
    const now = new Date()
    const before = (c.last?.result as { pools?: MeasuredPool[] } | undefined)?.pools ?? []
    const pools = plan.map(([name, pool]) => measurePool(name, pool, groups, { before: before.find(one => one.pool === name), now }))
    const planned = pools.reduce((sum, { limit }) => sum + limit, 0)
    for (const [index, pool] of pools.entries()) for (const fault of faultsOf(pool, plan[index]![1], now)) c.find(fault)
    if (planned > available)
      c.find({
        key: 'plan',
        level: 'warning',
        what: `the pools may open ${planned} connections, and the server has ${available}: ${pools.map(({ pool, limit }) => `${pool} ${limit}`).join(', ')}`,
        hint: 'a full pool is then refused by the server (53300) instead of waiting: lower size, overflow or processes, or raise max_connections with a restart',
        evidence: { planned, available },
      })
    return { pools, planned, available }
  },
})

const byPool = (pools: MeasuredPool[], key: 'size' | 'limit' | 'active' | 'overflow' | 'checkedout') =>
  pools.map(({ pool, [key]: value }) => ({ labels: { pool }, value }))
