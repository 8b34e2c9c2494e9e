// pg.views on a real server and a real ledger: how old rows are and from where that is known, and each fault with its mend.
import { viewGroup } from '@dbops/contract/config-file'
import { openLedger } from '@dbops/ledger/ledger'
import { freshDatabase } from '@dbops/testing/database'
import { afterEach, describe, expect, test } from 'vitest'
import views from '../../src/probes/views.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

const tidy: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const one of tidy.splice(0)) await one()
})
const made = async (more = '') => {
  const place = await ground(`
    CREATE SCHEMA core; CREATE SCHEMA vision;
    CREATE TABLE core.cases (id int, org text);
    CREATE MATERIALIZED VIEW vision.dim_org AS SELECT DISTINCT org FROM core.cases;
    CREATE UNIQUE INDEX ON vision.dim_org (org);
    CREATE MATERIALIZED VIEW vision.fact AS SELECT id, org FROM core.cases;
    CREATE UNIQUE INDEX ON vision.fact (id); ${more}`)
  tidy.push(() => place.drop())
  return place
}
type Views = { view: string; refreshedAt: string | null; source: string | null; ageSeconds: number | null; populated: boolean }[]
type Result = { groups: { since: string; ageSeconds: number | null; views: Views }[] }
const hour = 3_600_000
const ago = (hours: number) => new Date(Date.now() - hours * hour)

const look = async (place: Ground, { group = {}, ...more }: { group?: object } & Parameters<typeof lookOnce>[2] = {}) => {
  const vision = viewGroup.parse({ target: 'core', members: ['vision.fact', 'vision.dim_org'], maxAge: '7h', ...group })
  const looked = await lookOnce(views, place.url, { entries: { views: { vision } }, ...more })
  return { ...looked, result: looked.result as unknown as Result, last: { at: new Date(), result: looked.result } }
}
const keysOf = ({ faults }: { faults: { key: string }[] }) => faults.map(({ key }) => key)

describe('pg.views', () => {
  test('a refresh that nobody has seen has no age, and no fault as long as the looking is young', async () => {
    const { result, faults } = await look(await made())
    expect([result, faults]).toMatchObject([{ groups: [{ ageSeconds: null, views: [{ source: null }, { source: null }] }] }, []])
  })

  test('the age is that of the rows of our last successful run', async () => {
    const ledger = await aLedger()
    await ledger.run('succeeded', ago(3))
    await ledger.run('failed', ago(1))
    await ledger.run('succeeded', ago(1), 'plan')
    const { result, faults } = await look(await made(), { ledger: ledger.ledger })
    expect([result.groups[0]!.views[0], faults]).toMatchObject([{ source: 'run', ageSeconds: expect.closeTo(3 * 3600, -1) as number }, []])
  })

  test('older than maxAge is a fault, and a younger success ends it', async () => {
    const place = await made()
    const ledger = await aLedger()
    await ledger.run('succeeded', ago(9))
    const old = await look(place, { ledger: ledger.ledger })
    await ledger.run('succeeded', ago(0))
    const young = await look(place, { ledger: ledger.ledger })
    expect([old.faults, young.faults]).toMatchObject([
      [{ key: 'stale vision', level: 'warning', what: 'views vision: vision.fact was last refreshed 9h ago; maxAge is 7h' }],
      [],
    ])
  })

  test('what was never refreshed is a fault once the looking is older than maxAge', async () => {
    const place = await made()
    const { last } = await look(place)
    const groups = (last.result as unknown as Result).groups.map(group => ({ ...group, since: ago(8).toISOString() }))
    const { faults } = await look(place, { last: { at: new Date(), result: { groups } } })
    expect(faults).toMatchObject([
      { key: 'stale vision', what: 'views vision: vision.fact has not been refreshed for 8h at least; maxAge is 7h' },
    ])
  })

  test("somebody else's refresh shows between two readings, beside readers or not, and is remembered", async () => {
    const place = await made()
    const first = await look(place)
    await place.sql(`REFRESH MATERIALIZED VIEW CONCURRENTLY vision.fact`)
    const second = await look(place, { last: first.last })
    const third = await look(place, { last: second.last })
    expect([second.result.groups[0]!.views, third.result.groups[0]!.views[0]!.refreshedAt]).toMatchObject([
      [
        { view: 'vision.fact', source: 'catalogue', ageSeconds: 0 },
        { view: 'vision.dim_org', source: null },
      ],
      second.result.groups[0]!.views[0]!.refreshedAt,
    ])
  })

  test('a vacuum or an analyze is no refresh', async () => {
    const place = await made()
    const first = await look(place)
    await place.sql(`VACUUM (ANALYZE) vision.fact`)
    const { result } = await look(place, { last: first.last })
    expect(result.groups[0]!.views[0]!.source).toBeNull()
  })

  test.each([
    ['unpopulated vision.fact', 'REFRESH MATERIALIZED VIEW vision.fact WITH NO DATA', {}],
    ['key vision.fact', 'DROP INDEX vision.fact_id_idx', {}],
    ['stray vision.mv_cashflow', 'CREATE MATERIALIZED VIEW vision.mv_cashflow AS SELECT 1 AS one', {}],
    ['missing vision.dim_orgs', '', { members: ['vision.fact', 'vision.dim_org', 'vision.dim_orgs'] }],
    ['kind core.cases', '', { members: ['vision.fact', 'vision.dim_org', 'core.cases'] }],
    ['open vision', 'ALTER TABLE core.cases ENABLE ROW LEVEL SECURITY; GRANT SELECT ON vision.fact TO PUBLIC', {}],
  ])('finds %s, and not before', async (key, fault, group) => {
    const place = await made()
    const before = await look(place)
    if (fault) await place.sql(fault)
    expect([keysOf(before), keysOf(await look(place, { group }))]).toEqual([[], [key]])
  })

  test('says whose view our role may not refresh', async () => {
    const place = await made()
    const role = await place.role(`GRANT USAGE ON SCHEMA vision TO %`)
    const vision = viewGroup.parse({ target: 'core', members: ['vision.fact'] })
    const { faults } = await lookOnce(views, place.as(role), { entries: { views: { vision } } })
    expect(faults[0]).toMatchObject({ key: 'owner vision.fact', hint: expect.stringContaining('GRANT postgres TO') as string })
  })

  test('a view that somebody has locked does not hold the reading up', async () => {
    const place = await made()
    const holder = await place.client('a refresh by hand')
    await holder.query(`BEGIN; REFRESH MATERIALIZED VIEW vision.fact`)
    expect((await look(place)).result.groups[0]!.views).toMatchObject([{ populated: true }, { populated: true }])
  })

  test('a name that is quoted without need is the same view', async () => {
    const { result } = await look(await made(), { group: { members: ['"vision"."fact"'] } })
    expect(result.groups[0]!.views).toMatchObject([{ view: 'vision.fact' }])
  })

  test('asks nothing where no group is configured', async () => {
    const { result, faults } = await lookOnce(views, (await made()).url)
    expect([result, faults]).toEqual([{ groups: [] }, []])
  })
})

/** A ledger with the runs that a test puts into it. */
async function aLedger() {
  const database = await freshDatabase()
  const ledger = await openLedger({ url: database.url, name: 'test' })
  tidy.push(async () => {
    await ledger.close()
    await database.drop()
  })
  let runs = 0
  const run = (state: string, asOf: Date, mode = 'do') =>
    ledger.query(
      `insert into runs (id, task, engine, lane, target, mode, state, cause, actor, operation, valid_until, attempts, retry, backoff_ms, timeout_ms, result, finished_at)
       values ($1, 'pg.refresh-views', 'pg', 'heavy', 'core', $2, $3, '{}', 'test', 'pg.refresh-views:vision', now(), 1, 'restart', 0, 0, $4, $5)`,
      [`00000000-0000-7000-8000-${String(++runs).padStart(12, '0')}`, mode, state, { asOf: asOf.toISOString() }, asOf],
    )
  return { ledger, run }
}
