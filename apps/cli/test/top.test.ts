// `top` on a ledger with windows in it: the order, the shares, what is missing, and what stands in the way of figures.
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { saveReading } from '@dbops/ledger/probes'
import { type Counters, saveStatements } from '@dbops/ledger/statements'
import { freshDatabase } from '@dbops/testing/database'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onTheLine, type Said } from './on-the-line.ts'

let ledger: Ledger
let dbops: (...words: string[]) => Promise<Said>
let close: () => Promise<unknown>

const hour = 3_600_000
const statsReset = new Date('2026-01-01T00:00:00Z')

beforeAll(async () => {
  const database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test' })
  dbops = onTheLine({ env: { DBOPS_LEDGER_URL: database.url } })
  close = () => ledger.close().then(() => database.drop())
  const now = (await ledger.now()).getTime()
  const windows: { at: number; rose: Record<string, Counters>; missing: string[] }[] = [
    { at: now - 30 * hour, rose: { slow: cost(1, 9_000) }, missing: [] },
    { at: now - 2 * hour, rose: { often: cost(1_000, 400), slow: cost(2, 600), ours: cost(5, 50) }, missing: [] },
    { at: now - hour, rose: { often: cost(1_000, 400), inner: cost(7, 100) }, missing: ['all counters began anew'] },
  ]
  await save('core', new Date(now - 31 * hour), null, {}, [])
  let since = new Date(now - 31 * hour)
  for (const { at, rose, missing } of windows) {
    await save('core', new Date(at), since, rose, missing)
    since = new Date(at)
  }
  await reading('core', { reason: null, role: 'dbops_maintainer', shared: false })
  await reading('third', { reason: null, role: 'postgres', shared: true })
  await reading('other', { reason: 'the extension pg_stat_statements is not in this database', role: null, shared: false })
})
afterAll(() => close())

test('the most time comes first, with its share; our own role and nested statements stand apart', async () => {
  const { records } = await dbops('top', '--json')
  expect(records.map(({ text, totalMs, calls, avgMs, share }) => [text, totalMs, calls, avgMs, Math.round(share as number)])).toEqual([
    ['often', 800, 2_000, 0.4, 57],
    ['slow', 600, 2, 300, 43],
  ])
})

test.each([
  ['--by mean', ['slow', 'often']],
  ['--window 90m', ['often']],
  ['--window 40h', ['slow', 'often']],
  ['--own', ['often', 'slow', 'ours']],
  ['--nested', ['inner']],
  ['--limit 1', ['often']],
  ['--target other', []],
])('top %s', async (words, texts) => {
  const { records } = await dbops('top', '--json', ...words.split(' '))
  expect(records.map(({ text }) => text)).toEqual(texts)
})

test('people read which window it really is, what is missing in it, and which target has no figures for what reason', async () => {
  const { stdout, code } = await dbops('top')
  expect([
    code,
    /^core: .* 2 windows, 2,002 calls, 1,400 ms; 100 ms of it nested \(--nested\); 50 ms of our own apart \(--own\)$/m.test(stdout),
    /^ {2}window incomplete \(until .*\): all counters began anew$/m.test(stdout),
    /^third: others work as our role postgres too, /m.test(stdout),
    /^other: no figures since .*: the extension pg_stat_statements is not in this database$/m.test(stdout),
  ]).toEqual([0, true, true, true, true])
})

const cost = (calls: number, totalMs: number): Counters => ({ calls, totalMs, rows: calls, hit: 0, read: 0, dirtied: 0, temp: 0, wal: 0 })

/** Counters that rose in a window; statements are known by their names. */
async function save(target: string, at: Date, since: Date | null, rose: Record<string, Counters>, missing: string[]) {
  const names = ['often', 'slow', 'ours', 'inner']
  const queryid = (name: string) => String(names.indexOf(name) + 1)
  await saveStatements(ledger, {
    target,
    at,
    since,
    statsReset,
    dealloc: 0,
    missing,
    changed: Object.entries(rose).map(([name, costs]) => ({
      ...costs,
      id: null,
      queryid: queryid(name),
      toplevel: name !== 'inner',
      userid: name === 'ours' ? '11' : '10',
      dbid: '5',
      maxMs: costs.totalMs,
      rose: costs,
    })),
    texts: names.map(name => ({ queryid: queryid(name), text: name })),
    roles: new Map([
      ['10', 'core_app'],
      ['11', 'dbops_maintainer'],
    ]),
  })
}

const reading = (target: string, result: Record<string, unknown>) =>
  ledger.transaction(db => saveReading(db, { target, probe: 'pg.statements', state: 'ok', result, error: null, told: false }))
