// What a refresh of the sample's five views costs through us (one transaction, dimensions first, counted, proven), beside the seed's statements one by one and beside plain
// REFRESH, and what a reader of the views feels and reads meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from '@dbops/ledger/commands'
import { find } from '@dbops/ledger/runs'
import { createSample } from '@dbops/sample/create'
import { Client, Pool } from 'pg'
import { startLine } from '../line.ts'
import { machine, median, print, quantile, quick, type Row, ratios, say } from '../report.ts'

const rows = quick ? 100_000 : 500_000
const rounds = quick ? 2 : 5
/** Reads a second, begun at their time however long those before take; waiting for a free session counts. */
const rate = 200
const sessions = 8
/** How long the reader goes on after a refresh, and how long it is looked at without one; ms. */
const afterwards = 1_500

// In the order of the seed, §3.1; each its own transaction, as a pg_cron job in libpq mode sends the string.
const members = ['mv_business_fact', 'dim_case_type', 'dim_org', 'dim_time', 'dim_stk_type'].map(name => `vision.${name}`)
// An org that nothing happens to: its answer is known, and any other is wrong. Its key moves whenever an org comes that sorts before it.
const readOrg = `
  SELECT coalesce(sum(cases), 0)::int AS cases
    FROM vision.mv_business_fact JOIN vision.dim_org USING (org_key)
   WHERE tenant_id = $1 AND org = 'Org 5'`
const addOrg = `
  INSERT INTO core.cases (id, tenant_id, case_type, org, title, status, owner_id)
  SELECT $1, tenant_id, 'audit', $2, 'a new org', 'open', id FROM core.users WHERE tenant_id = $3 LIMIT 1`

const begunAt = performance.now()
let sample = { url: '', ownerUrl: '' }
await using line = await startLine(async ({ adminUrl }) => {
  sample = await createSample(adminUrl, { rows, say })
  return `targets: { core: { engine: pg, url: "${sample.url}" } }
views: { vision: { target: core, members: [${members.join(', ')}] } }
`
})
await line.start('apps/scheduler/src/main.ts')
await line.start('apps/pg-maintainer/src/main.ts')
const owner = new Client(sample.ownerUrl)
await owner.connect()
const tenant = (await owner.query<{ id: string }>(`SELECT min(tenant_id) AS id FROM core.cases`)).rows[0]!.id
const readers = new Pool({ connectionString: sample.ownerUrl, max: sessions })

interface Felt {
  p50: number
  p99: number
  max: number
  reads: number
  wrong: number
}

/** Reads while `work` goes on and a little longer; the times are of what began while it went on, the answers are all. */
async function reading(work: () => Promise<unknown>): Promise<Felt & { seconds: number }> {
  const truth = (
    await owner.query<{ cases: number }>(`SELECT count(*)::int AS cases FROM core.cases WHERE tenant_id = $1 AND org = 'Org 5'`, [tenant])
  ).rows[0]!.cases
  const times: number[] = []
  const under: Promise<void>[] = []
  let [reads, wrong, done] = [0, 0, false]
  const over = new AbortController()
  const read = async () => {
    const from = performance.now()
    const during = !done
    const { rows: answer } = await readers.query<{ cases: number }>(readOrg, [tenant])
    reads++
    if (during) times.push(performance.now() - from)
    if (answer[0]!.cases !== truth) wrong++
  }
  const ticking = (async () => {
    while (!over.signal.aborted) {
      under.push(read())
      await sleep(1_000 / rate)
    }
  })()
  const from = performance.now()
  await work()
  const seconds = (performance.now() - from) / 1_000
  done = true
  await sleep(afterwards)
  over.abort()
  await ticking
  await Promise.all(under)
  return { seconds, p50: quantile(times, 0.5), p99: quantile(times, 0.99), max: Math.max(...times), reads, wrong }
}

let newcomers = 0
/** Something to refresh, which moves the keys of all orgs of the tenant but one. */
const change = () => owner.query(addOrg, [`bench-${++newcomers}`, `Org 0${String(1_000 - newcomers)}`, tenant])

async function ours(): Promise<void> {
  const answer = await ask(line.ledger, { verb: 'run', body: { task: 'pg.refresh-views', params: { group: 'vision' } }, actor: 'bench' })
  if (!answer.ok) throw new Error(answer.error.message)
  for (;;) {
    const [run] = await find(line.ledger, answer.run)
    if (run?.finishedAt && run.state !== 'succeeded') throw new Error(`the refresh ${run.state}: ${run.error?.message}`)
    if (run?.finishedAt) return
    await sleep(20)
  }
}
const oneByOne = (how: string) => async () => {
  for (const view of members) await owner.query(`REFRESH MATERIALIZED VIEW ${how} ${view}`)
}
const ways = { ours, seed: oneByOne('CONCURRENTLY'), plain: oneByOne('') }
type Way = keyof typeof ways

say('warming up')
for (const way of Object.values(ways)) await reading(way)
await ours()
await reading(() => sleep(afterwards))
const taken: Record<Way, (Felt & { seconds: number })[]> = { ours: [], seed: [], plain: [] }
const idle: Felt[] = []
for (let i = 0; i < rounds; i++) {
  idle.push(await reading(() => sleep(afterwards)))
  // Who goes first changes; what the seed leaves wrong is mended before the next.
  const order = (['ours', 'seed', 'plain'] as const).map((_, at, all) => all[(at + i) % 3]!)
  for (const way of order) {
    await change()
    taken[way].push(await reading(ways[way]))
    if (way !== 'ours') await ours()
  }
  say(
    `round ${i + 1} of ${rounds}: ${order.map(way => `${way} ${taken[way].at(-1)!.seconds.toFixed(2)} s, p99 ${taken[way].at(-1)!.p99.toFixed(1)} ms`).join('; ')}`,
  )
}
const facts = (await owner.query<{ facts: number }>(`SELECT count(*)::int AS facts FROM vision.mv_business_fact`)).rows[0]!.facts
const version = (await owner.query<{ v: string }>(`SELECT current_setting('server_version') AS v`)).rows[0]!.v
await Promise.all([owner.end(), readers.end()])

const of = (way: Way, key: keyof Felt | 'seconds') => taken[way].map(one => one[key])
const beside = (what: string, unit: string, key: keyof Felt | 'seconds', peer: 'seed' | 'plain'): Row => ({
  what,
  unit,
  ours: of('ours', key),
  peer: of(peer, key),
  beside: peer === 'seed' ? 'one by one' : 'plain REFRESH',
})
const time = beside('five views, whole run', 's', 'seconds', 'seed')
const p99: Row = {
  what: 'reader, p99 during',
  unit: 'ms',
  ours: of('ours', 'p99'),
  peer: idle.map(one => one.p99),
  beside: 'idle',
  goal: '≤ 1.25 × idle',
}
const wrong = of('ours', 'wrong')
print({
  area: 'views',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node, postgres: version },
  rows: [
    time,
    { ...p99, met: median(ratios(p99)) <= 1.25 },
    beside('reader, p99 during', 'ms', 'p99', 'seed'),
    beside('reader, p99 during', 'ms', 'p99', 'plain'),
    beside('reader, longest wait', 'ms', 'max', 'seed'),
    beside('reader, longest wait', 'ms', 'max', 'plain'),
    {
      ...beside(`wrong answers of a reader, of ${median(of('ours', 'reads')).toFixed(0)} reads or so`, 'reads', 'wrong', 'seed'),
      goal: '0',
      met: wrong.every(n => n === 0),
    },
  ],
  notes: [
    `${rows.toLocaleString('en')} rows, of them ${facts.toLocaleString('en')} facts; before each refresh one org has come that moves the keys of the others`,
    'ours: from the command to the end of the run, with counts before and after and the proof; theirs: the statements alone',
    `${rate} reads a second on ${sessions} sessions, until ${afterwards} ms after the refresh; a wrong answer: an org to which nothing has happened has other figures`,
    'what the order of the seed leaves wrong stays wrong until its next refresh, six hours later; ours mended it here',
  ],
})
