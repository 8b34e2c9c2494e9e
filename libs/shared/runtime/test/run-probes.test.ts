// The runner of probes on a real ledger: readings, findings with a life, events told once; the engine is a stand-in, as it is not what is tried here.
import { setTimeout as sleep } from 'node:timers/promises'
import { configFile } from '@dbops/contract/config-file'
import { toEnvelope } from '@dbops/contract/envelope'
import { type Fault, type Look, probeOf } from '@dbops/contract/task'
import { acknowledge, listFindings } from '@dbops/ledger/findings'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { saveTargets } from '@dbops/ledger/schedules'
import { openMetrics } from '@dbops/runtime/metrics'
import { runProbes } from '@dbops/runtime/run-probes'
import type { Loop, Service } from '@dbops/runtime/service'
import { type FreshDatabase, freshDatabase } from '@dbops/testing/database'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'

let database: FreshDatabase
let ledger: Ledger
beforeAll(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  await saveTargets(ledger, [{ name: 'core', engine: 'pg', heavy: 2, light: 4, labels: {} }])
})
afterEach(() => ledger.query('truncate findings, probes, outbox, leases'))
afterAll(async () => {
  await ledger.close()
  await database.drop()
})

const index: Fault = { key: 'index core.a', level: 'warning', what: 'core.a has 3 dead rows', sql: 'VACUUM core.a' }

describe('a finding', () => {
  test('is opened once, however often it is found', async () => {
    const { read, told } = reader()
    for (const dead of [3, 4, 5]) await read(look => look.find({ ...index, what: `core.a has ${dead} dead rows` }))
    expect([await told(), await states()]).toEqual([['finding_opened pg.sizes:index core.a'], ['open ×1: core.a has 5 dead rows']])
  })

  test('is gone with the first good reading that does not find it, and comes back as the same one', async () => {
    const { read, told } = reader()
    const seen = []
    for (const faults of [[index], [], [], [index]]) {
      await read(look => faults.forEach(look.find))
      seen.push(...(await states()))
    }
    expect([seen, await told()]).toEqual([
      ['open ×1', 'gone ×1', 'gone ×1', 'back ×2'].map(state => `${state}: core.a has 3 dead rows`),
      ['opened', 'gone', 'opened'].map(which => `finding_${which} pg.sizes:index core.a`),
    ])
  })

  test('is not gone because a look failed', async () => {
    const { read } = reader()
    await read(look => look.find(index))
    await read(() => {
      throw new Error('the server hangs')
    })
    expect(await states()).toEqual(['open ×1: core.a has 3 dead rows'])
  })

  test('of a look that failed afterwards is not opened', async () => {
    const { read } = reader()
    await read(look => {
      look.find(index)
      throw new Error('the server hangs')
    })
    expect(await states()).toEqual([])
  })

  test('that a person knows of stays known until it is gone, and is news when it comes back', async () => {
    const { read } = reader()
    await read(look => look.find(index))
    const [known] = await listFindings(ledger, { limit: 1 })
    await ledger.transaction(db => acknowledge(db, known!.id, 'kim', 'known'))
    const seen = []
    for (const faults of [[index], [], [index]]) {
      await read(look => faults.forEach(look.find))
      seen.push((await states())[0]!.split(' ')[0])
    }
    expect(seen).toEqual(['acknowledged', 'gone', 'back'])
  })

  test('tells its own events where it names them, each finding by itself', async () => {
    const { read, told } = reader()
    const pool = (name: string): Fault => ({
      key: `overflow ${name}`,
      level: 'warning',
      what: `${name} overflows`,
      tells: { opened: 'db_pool_overflow', gone: 'db_pool_recovered' },
    })
    await read(look => [pool('core'), pool('vision')].forEach(look.find))
    await read(look => look.find(pool('vision')))
    expect(await told()).toEqual([
      'db_pool_overflow pg.sizes:overflow core',
      'db_pool_overflow pg.sizes:overflow vision',
      'db_pool_recovered pg.sizes:overflow core',
    ])
  })

  test('of another probe is left alone', async () => {
    const { read } = reader()
    await read(look => look.find(index))
    await reader({ name: 'pg.others' }).read(() => undefined)
    expect(await states()).toEqual(['open ×1: core.a has 3 dead rows'])
  })

  test('is stored and told without secrets', async () => {
    const { read } = reader()
    await read(look =>
      look.find({ ...index, what: "ALTER ROLE a PASSWORD 'hunter22'", evidence: { url: 'postgres://a:hunter22@db/core' } }),
    )
    const { rows } = await ledger.query(
      `select (select jsonb_agg(f) from findings f)::text || (select jsonb_agg(o) from outbox o)::text as everything`,
    )
    expect(JSON.stringify(rows)).not.toContain('hunter22')
  })
})

describe('a reading', () => {
  test('that cannot be taken is told once, and once when it can be taken again', async () => {
    const { read, told } = reader()
    const fail = () => {
      throw new Error('no rights')
    }
    for (const look of [fail, fail, () => undefined, () => undefined, fail]) await read(look)
    expect(await told()).toEqual(['probe_failed pg.sizes', 'probe_recovered pg.sizes', 'probe_failed pg.sizes'])
  })

  test.each([
    ['before it begins', /from probes/, () => undefined],
    ['while it looks', /from nothing_yet/, (look: Look<{ n: number }>) => look.ledger.query('select from nothing_yet')],
  ])('for which the ledger was away %s says nothing of the target', async (_, lost, work) => {
    const query = ((sql: string, values?: unknown[]) =>
      lost.test(sql) ? Promise.reject(new Error('Connection terminated')) : ledger.query(sql, values)) as Ledger['query']
    const { read, told } = reader({ ledger: { ...ledger, query } })
    const seen = await read(work).catch((error: Error) => error.message)
    expect([seen, await told()]).toEqual(['Connection terminated', []])
  })

  test('has its whole time for the target, however slow the ledger is', async () => {
    const query = (async (sql: string, values?: unknown[]) => {
      if (/from probes/.test(sql)) await sleep(300)
      return ledger.query(sql, values)
    }) as Ledger['query']
    const { read, told } = reader({ timeout: '200ms', ledger: { ...ledger, query } })
    await read(look => look.signal.throwIfAborted())
    expect(await told()).toEqual([])
  })

  test('of a target that does not answer is told by its health alone', async () => {
    const down = { isDown: true }
    const [sizes, health] = [reader(down), reader({ ...down, name: 'pg.health' })]
    for (const one of [sizes, health]) await one.read(() => undefined)
    expect(await sizes.told()).toEqual(['probe_failed pg.health'])
  })

  test('has events, findings and what it keeps in one transaction: none of them stands without the others', async () => {
    const { read, told } = reader()
    await read(look => {
      look.find(index)
      look.tell('db_query_slow', { duration_ms: 1_200, query: 'select', params_count: null })
      look.keep(() => Promise.reject(new Error('the disk of the ledger is full')))
    }).catch(() => undefined)
    expect([await told(), await states()]).toEqual([[], []])
  })

  test('knows the last good one, also after one that failed', async () => {
    const { read } = reader()
    const seen: unknown[] = []
    await read(look => void seen.push(look.last?.result))
    await read(() => {
      throw new Error('the server hangs')
    })
    await read(look => void seen.push(look.last?.result))
    expect(seen).toEqual([undefined, { n: 1 }])
  })

  test('gets the entries of its own target, and no others', async () => {
    const { read } = reader()
    let entries: Look<unknown>['entries'] | undefined
    await read(look => {
      entries = look.entries
    })
    expect(Object.fromEntries(Object.entries(entries!).map(([section, all]) => [section, Object.keys(all)]))).toEqual({
      pools: ['core'],
      views: [],
      purges: [],
      dumps: ['metadata'],
      ingest: [],
      schedules: ['here', 'both', 'dump'],
    })
  })
})

describe('the metrics of a reading', () => {
  test('have the names of others beside ours', async () => {
    const { read, metrics } = reader()
    await read(() => undefined)
    const lines = await metrics()
    expect(lines.filter(line => line.includes('core_db_pool_size') || line.includes('sizes_n'))).toEqual([
      'dbops_sizes_n{engine="pg",target="core",app="pg-maintainer"} 1',
      'core_db_pool_size{target="core",pool="core",app="pg-maintainer"} 20',
    ])
  })

  test('leave out what cannot be known', async () => {
    const { read, metrics } = reader()
    await read(() => undefined)
    expect((await metrics()).filter(line => line.includes('sizes_unknown') || line.includes('sizes_each'))).toEqual([
      'dbops_sizes_each{engine="pg",target="core",of="a",app="pg-maintainer"} 2',
    ])
  })

  test('have them not where metrics.compat is off', async () => {
    const { read, metrics } = reader({ compat: false })
    await read(() => undefined)
    expect((await metrics()).filter(line => line.includes('core_db_pool_size'))).toEqual([])
  })

  test('are taken down with a reading that failed, but for its failure', async () => {
    const { read, metrics } = reader()
    await read(() => undefined)
    await read(() => {
      throw new Error('the server hangs')
    })
    expect((await metrics()).filter(line => line.startsWith('dbops_') || line.startsWith('core_'))).toEqual([
      'dbops_probe_ok{engine="pg",target="core",probe="pg.sizes",app="pg-maintainer"} 0',
    ])
  })

  test('are taken down when nobody can read any more, as the ledger is away', async () => {
    const away = { ...ledger }
    const { read, metrics } = reader({ ledger: away })
    await read(() => undefined)
    away.query = () => Promise.reject(new Error('Connection terminated'))
    await read(() => undefined).catch(() => undefined)
    expect((await metrics()).filter(line => line.startsWith('dbops_') || line.startsWith('core_'))).toEqual([])
  })
})

type Work = (look: Look<{ n: number }>) => unknown

/** One maintainer with one probe, whose looks are given one by one. */
function reader({
  name = 'pg.sizes',
  compat = true,
  isDown = false,
  timeout = '5s',
  ledger: own = ledger,
}: {
  name?: string
  compat?: boolean
  isDown?: boolean
  timeout?: string
  ledger?: Ledger
} = {}) {
  let work: Work = () => undefined
  const probe = probeOf()({
    name,
    summary: 'a probe of the test',
    every: '10s',
    timeout,
    result: z.strictObject({ n: z.int() }),
    gauges: ({ n }) => ({
      sizes_n: n,
      sizes_unknown: null,
      sizes_each: [
        { labels: { of: 'a' }, value: 2 },
        { labels: { of: 'b' }, value: null },
      ],
    }),
    compat: () => ({ core_db_pool_size: [{ labels: { pool: 'core' }, value: 20 }] }),
    look: async c => {
      await work(c)
      return { n: 1 }
    },
  })
  const loops: Loop[] = []
  const registry = openMetrics('pg-maintainer')
  const schedule = { task: 'pg.vacuum', cron: '0 3 * * *' }
  const config = configFile.parse({
    metrics: { compat },
    targets: { core: { engine: 'pg' }, other: { engine: 'pg' } },
    dumps: { metadata: { target: 'core', data: ['core.t'], stores: ['main'] } },
    pools: { core: { target: 'core', match: {}, size: 1 }, other: { target: 'other', match: {}, size: 1 } },
    schedules: {
      here: { ...schedule, target: 'core' },
      both: { ...schedule, targets: ['other', 'core'] },
      there: { ...schedule, target: 'other' },
      dump: { task: 'pg.dump', cron: '0 4 * * *', params: { dump: 'metadata' } },
    },
  })
  const quiet = () => undefined
  const service = {
    name: `pg-maintainer@test:${uuidv7()}`,
    config,
    ledger: own,
    metrics: registry,
    log: { error: quiet, info: quiet, warn: quiet },
    signal: new AbortController().signal,
    loop: (loop: Loop) => void loops.push(loop),
    event: (fact: Parameters<Service['event']>[0]) =>
      toEnvelope({ id: uuidv7(), app: 'pg-maintainer', at: new Date(), environment: 'test', ...fact }),
  } as unknown as Service
  const target = configFile.parse({ targets: { core: { engine: 'pg', url: 'postgres://nowhere/core' } } }).targets['core']!
  const driver = {
    engine: 'pg',
    look: () => (isDown ? Promise.reject(new Error('ECONNREFUSED')) : Promise.resolve({ verbs: {}, close: () => Promise.resolve() })),
  } as unknown as Parameters<typeof runProbes>[1]
  runProbes(service, driver, [probe], [{ name: 'core', config: target, environment: 'test' }])
  return {
    read: (look: Work) => {
      work = look
      return loops[0]!.turn(quiet)
    },
    told: async () => {
      const { rows } = await ledger.query<{ told: string }>(`select event || ' ' || (ce ->> 'operation') as told from outbox order by n`)
      return rows.map(({ told }) => told)
    },
    metrics: async () =>
      (await registry.registry.metrics()).split('\n').filter(line => line && !line.startsWith('#') && !/^(process|nodejs)_/.test(line)),
  }
}

const states = async () => (await listFindings(ledger, { limit: 10 })).map(({ state, times, what }) => `${state} ×${times}: ${what}`)
