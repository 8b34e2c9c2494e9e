// How long it takes from a command to the first line of its handler, how many runs a second go through, and how many statements each costs the ledger; beside BullMQ alone on the same Redis.
import { ask } from '@dbops/ledger/commands'
import { bear } from '@dbops/ledger/runs'
import { createDatabase } from '@dbops/servers/postgres'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { v7 as uuidv7 } from 'uuid'
import { startLine } from '../line.ts'
import { machine, median, print, quantile, quick, type Row, ratios, say, versionOf } from '../report.ts'
import type { Told } from './processes/tell.ts'

const rounds = quick ? 2 : 6
const perRound = quick ? 20 : 50
const inFlight = 16
const burst = quick ? 160 : 800

const countCalls = `
  select sum(calls)::int as calls, sum(calls) filter (where query !~* '^(begin|commit|rollback|savepoint)')::int as statements
  from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = current_database()`
const busiest = `
  select calls, round((total_exec_time / calls)::numeric, 3)::float as ms, left(regexp_replace(query, '\\s+', ' ', 'g'), 110) as query
  from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = current_database() order by calls desc limit 40`

const begunAt = performance.now()
await using line = await startLine(async ({ adminUrl }) => {
  const target = await createDatabase(adminUrl, 'target')
  return `targets: { core: { engine: pg, url: "${target}", concurrency: { heavy: 32, light: 32 } } }\n`
})
const { ledger } = line
await ledger.query('create extension pg_stat_statements')
await line.start('apps/scheduler/src/main.ts')
const maintainer = await line.start('bench/dispatch/processes/maintainer.ts', ['--concurrency', `heavy=${inFlight},light=${inFlight}`])
const peer = await line.startPeer('bench/dispatch/processes/bullmq-worker.ts')
const redis = new Redis(line.redisUrl, { maxRetriesPerRequest: null })
const queue = new Queue('bench', { connection: redis })

const waiting = new Map<string, (at: bigint) => void>()
const early = new Map<string, bigint>()
for (const { child } of [maintainer, peer])
  child.on('message', ({ run, at }: Told) => {
    const heard = waiting.get(run)
    if (heard) heard(BigInt(at))
    else early.set(run, BigInt(at))
    waiting.delete(run)
  })
const begun = (run: string) => {
  const at = early.get(run)
  if (at !== undefined && early.delete(run)) return Promise.resolve(at)
  return new Promise<bigint>(resolve => waiting.set(run, resolve))
}
const now = process.hrtime.bigint

type Start = () => Promise<string>
const bullmq: Start = async () => {
  const run = uuidv7()
  await queue.add('run', { run }, { jobId: run, attempts: 1, removeOnComplete: true, removeOnFail: true })
  return run
}
const birth = (): Promise<string> => {
  const id = uuidv7()
  const soon = Date.now()
  return bear(ledger, {
    id,
    task: 'pg.start',
    engine: 'pg',
    lane: 'light',
    target: null,
    mode: 'do',
    cause: { kind: 'command' },
    actor: 'bench',
    operation: 'pg.start',
    spec: { params: {}, entries: {} },
    locks: [],
    priority: 8,
    notBefore: new Date(soon - 1_000),
    validUntil: new Date(soon + 3_600_000),
    attempts: 1,
    retry: 'restart',
    backoffMs: 30_000,
    timeoutMs: 600_000,
    recovers: false,
  }).then(() => id)
}
const command: Start = async () => {
  const answer = await ask(ledger, {
    verb: 'run',
    body: { task: 'pg.vacuum', params: { tables: ['public.nothing'] }, target: 'core' },
    actor: 'bench',
  })
  if (!answer.ok) throw new Error(answer.error.message)
  return answer.run
}

/** Milliseconds from just before `start` to the first line of the handler. */
async function latency(start: Start): Promise<number> {
  const from = now()
  const run = await start()
  const at = await begun(run)
  if (start !== bullmq) steps.push({ run, from: wall(from), begun: wall(at) })
  return Number(at - from) / 1e6
}
const offset = Date.now() - Number(now()) / 1e6
const wall = (at: bigint) => Number(at) / 1e6 + offset
const steps: { run: string; from: number; begun: number }[] = []
const ended = async () => {
  for (;;) {
    const { rows } = await ledger.query(`select 1 from runs where state in ('queued', 'running') limit 1`)
    if (!rows.length) return
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}
/** Handlers begun per second with `inFlight` of them asked for at any time. */
async function throughput(start: Start, count: number): Promise<number> {
  const from = now()
  let left = count
  const ask = async () => {
    while (left-- > 0) await begun(await start())
  }
  await Promise.all(Array.from({ length: inFlight }, ask))
  return count / (Number(now() - from) / 1e9)
}

const ways = { bullmq, birth, command }
type Way = keyof typeof ways
say('warming up')
for (let i = 0; i < (quick ? 5 : 30); i++) for (const start of Object.values(ways)) await latency(start)
await ended()

const samples: Record<Way, number[][]> = { bullmq: [], birth: [], command: [] }
for (let round = 0; round < rounds; round++) {
  const of: Record<Way, number[]> = { bullmq: [], birth: [], command: [] }
  for (let i = 0; i < perRound; i++)
    for (const way of Object.keys(ways) as Way[]) {
      of[way].push(await latency(ways[way]))
      if (way !== 'bullmq') await ended()
    }
  for (const way of Object.keys(ways) as Way[]) samples[way].push(of[way])
  say(
    `round ${round + 1} of ${rounds}: p50 ${(Object.keys(ways) as Way[]).map(way => `${way} ${median(of[way]).toFixed(2)}`).join(', ')} ms`,
  )
}
// Where the time goes, by the ledger's own history.
const marks = (
  await ledger.query<{ task: string; run: string; marks: Record<string, number> }>(
    `select task, r.id as run, jsonb_object_agg(h.event, extract(epoch from h.at) * 1000) as marks from history h join runs r on r.id = h.run group by 1, 2`,
  )
).rows
for (const task of ['pg.start', 'pg.vacuum']) {
  const gaps: number[][] = [[], [], [], []]
  for (const step of steps.slice(-rounds * perRound)) {
    const found = marks.find(one => one.run === step.run)
    if (found?.task !== task) continue
    const { born, dispatched, claimed } = found.marks as Record<'born' | 'dispatched' | 'claimed', number>
    const at = [step.from, born, dispatched, claimed, step.begun]
    for (const [i, gap] of gaps.entries()) gap.push(at[i + 1]! - at[i]!)
  }
  say(`${task}: ` + ['born', 'dispatched', 'claimed', 'begun'].map((name, i) => `→ ${name} ${median(gaps[i]!).toFixed(2)}`).join(' '))
}
const p = (way: Way, share: number) => samples[way].map(round => quantile(round, share))
const all = (way: Way, share: number) => quantile(samples[way].flat(), share)

const rates: Record<'ours' | 'peer', number[]> = { ours: [], peer: [] }
const cost: { calls: number[]; statements: number[] } = { calls: [], statements: [] }
for (let round = 0; round < (quick ? 1 : 5); round++) {
  await ledger.query('select pg_stat_statements_reset()')
  rates.ours.push(await throughput(birth, burst))
  await ended()
  const { rows } = await ledger.query<{ calls: number; statements: number }>(countCalls)
  cost.calls.push(rows[0]!.calls / burst)
  cost.statements.push(rows[0]!.statements / burst)
  rates.peer.push(await throughput(bullmq, burst))
  say(`${inFlight} in flight: ${rates.ours.at(-1)!.toFixed(0)} runs/s, BullMQ ${rates.peer.at(-1)!.toFixed(0)}`)
}
await ledger.query('select pg_stat_statements_reset()')
for (let i = 0; i < 50; i++) {
  await latency(birth)
  await ended()
}
const alone = (await ledger.query<{ calls: number; ms: number; query: string }>(busiest)).rows
if (process.env['DBOPS_BENCH_STATEMENTS']) for (const { calls, ms, query } of alone) say(`${String(calls).padStart(6)} ${ms} ms  ${query}`)

const latencyRow = (what: string, way: Way, share: number, limit: number): Row => {
  const row = { what, unit: 'ms', ours: p(way, share), peer: p('bullmq', share), beside: 'BullMQ add → processor' }
  return { ...row, goal: `≤ ${limit} × BullMQ`, met: median(ratios(row)) <= limit }
}
const server = (await ledger.query<{ server_version: string }>('show server_version')).rows[0]!.server_version.split(' ')[0]!
await queue.close()
redis.disconnect()
print({
  area: 'dispatch',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node, PostgreSQL: server, Redis: versionOf('redis-server'), BullMQ: '6' },
  rows: [
    latencyRow('birth → handler, p50', 'birth', 0.5, 3),
    latencyRow('birth → handler, p99', 'birth', 0.99, 4),
    latencyRow('command → handler with a session in the target, p50', 'command', 0.5, 3),
    latencyRow('command → handler with a session in the target, p99', 'command', 0.99, 4),
    { what: `runs begun with ${inFlight} in flight`, unit: '1/s', ours: rates.ours, peer: rates.peer, beside: 'BullMQ' },
    {
      what: `statements a run, ${inFlight} in flight`,
      unit: 'calls',
      ours: cost.statements,
      goal: '≤ 10',
      met: median(cost.statements) <= 10,
    },
    { what: `the same with begin and commit`, unit: 'calls', ours: cost.calls },
  ],
  notes: [
    `${rounds} rounds of ${perRound} each, one after the other; over all of them p50 ${(Object.keys(ways) as Way[]).map(way => `${way} ${all(way, 0.5).toFixed(2)}`).join(', ')} ms, p99 ${(Object.keys(ways) as Way[]).map(way => `${way} ${all(way, 0.99).toFixed(2)}`).join(', ')} ms`,
  ],
})
