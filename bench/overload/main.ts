// What the loops of the scheduler ask of the ledger while it holds too much: 5,000, 20,000 and 100,000 queued runs, each for a shared or all for one exclusive lock, and a million events.
import { openLedger } from '@dbops/ledger/ledger'
import { backlog, heldUp } from '@dbops/ledger/outbox'
import * as runs from '@dbops/ledger/runs'
import { createDatabase, startPostgres } from '@dbops/servers/postgres'
import { machine, print, quick, type Row, say, versionOf } from '../report.ts'

const turns = 5
const targets = `insert into targets (name, engine, heavy, light) select 't' || n, 'pg', 2, 4 from generate_series(0, 9) n`
const empty = 'truncate runs, run_locks, history cascade'
const flood = `
  with born as (
    insert into runs (id, task, engine, lane, target, mode, state, cause, actor, operation, valid_until, attempts, retry, backoff_ms, timeout_ms)
    select gen_random_uuid(), 'pg.analyze', 'pg', 'heavy', 't' || n % 10, 'do', 'queued', '{}', 'bench', 'pg.analyze', now() + interval '1 day', 3, 'restart', 0, 600000
    from generate_series(1, $1::int) n returning id, target
  )
  insert into run_locks (target, name, run, exclusive) select target, 'x', id, $2 from born`
const events = `insert into outbox (id, event, ce) select gen_random_uuid(), 'run_cancelled', '{}' from generate_series(1, $1::int)`

const begunAt = performance.now()
const pg = await startPostgres({ say })
const ledger = await openLedger({ url: await createDatabase(pg.url, 'dbops'), name: 'bench' })
const rows: Row[] = []
async function measure(what: string, work: () => Promise<unknown>): Promise<void> {
  const ours: number[] = []
  for (let turn = 0; turn < turns; turn++) {
    const at = performance.now()
    await work()
    ours.push(performance.now() - at)
  }
  rows.push({ what, unit: 'ms', ours })
}
const dispatch = () => ledger.transaction(db => runs.dispatch(db, 200, () => ({ verdict: 'allow' })))

await ledger.query(targets)
for (const size of quick ? [5_000] : [5_000, 20_000, 100_000])
  for (const exclusive of [false, true]) {
    say(`${size} queued runs, ${exclusive ? 'exclusive' : 'shared'}`)
    await ledger.query(empty)
    await ledger.query(flood, [size, exclusive])
    await ledger.query('analyze')
    const which = `${size} queued, ${exclusive ? 'all for one lock of their target' : 'a shared lock'}`
    await measure(`${which}: dispatch`, dispatch)
    await measure(`${which}: explain waits`, () => runs.explainWaits(ledger))
    await measure(`${which}: what status counts`, () => runs.queues(ledger))
  }
const many = quick ? 50_000 : 1_000_000
say(`${many} events`)
for (let n = 0; n < many; n += 50_000) await ledger.query(events, [50_000])
await ledger.query('analyze')
await measure(`${many} events not in the stream: backlog`, () => backlog(ledger))
await measure(`${many} events not in the stream: alerts taken from the ledger`, () =>
  heldUp(ledger, { after: 0, forMs: 0, events: ['backup_failed'], consumer: 'alert-relay', limit: 100 }),
)
await ledger.close()
await pg.stop()
print({
  area: 'overload',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node, PostgreSQL: versionOf('psql') },
  rows,
  notes: [`${turns} turns each; the first dispatch of a size hands out, the others find the caps reached`],
})
process.exit(0)
