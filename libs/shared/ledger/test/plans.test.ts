// Every query by an index: with 100,000 finished runs and 5,000 waiting ones in the ledger, no statement of the loops, of an attempt or of the command line reads a large
// table from end to end.
import { randomUUID } from 'node:crypto'
import { birth } from '@dbops/testing/birth'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findAlerts } from '../src/alerts.ts'
import { trimCommands } from '../src/commands.ts'
import { firstTime, firstTimes, trimInbox } from '../src/inbox.ts'
import { rejectedWithin, setAsideEntries } from '../src/ingest.ts'
import type { Queryable } from '../src/ledger.ts'
import { appendLines, linesOf } from '../src/logs.ts'
import { backlog, confirmBatch, eventsSince, isDue, recent, savePosition, tokens, trimOutbox, unmark, writeBatch } from '../src/outbox.ts'
import { sumUpRuns } from '../src/run-summaries.ts'
import * as runs from '../src/runs.ts'
import { anyDue, dueSchedules, lastSuccesses } from '../src/schedules.ts'
import { newestDumpOfThis, summedUp } from '../src/sizes.ts'
import { lastCounted, type StatementReading, saveStatements, topStatements, trimStatements, windowFacts } from '../src/statements.ts'
import { anyTriggerDue, awaitedOf, recordEvent, schedulesTriggered } from '../src/triggers.ts'
import { freshLedger, type TestLedger } from './ledger-harness.ts'

const finished = 100_000
const waiting = 5_000

let ledger: TestLedger
let close: () => Promise<void>
/** Of one run that is in hand, one that waits, one that has ended. */
let known: { running: { id: string; fence: number }; queued: string; ended: string }

const fill = [
  `insert into targets (name, engine, heavy, light) select 't' || n, 'pg', 2, 4 from generate_series(1, 50) n`,
  `insert into schedules (name, task, target, spec, spec_hash, due_at)
   select 's' || n, 'pg.test', 't' || n % 50 + 1, '{}', '', now() + n * interval '1 min' from generate_series(1, 2000) n`,
  `insert into runs (id, task, engine, lane, target, mode, state, cause, actor, schedule, slot, operation, valid_until, queued_at, finished_at, attempts, retry, backoff_ms, timeout_ms, fence)
   select md5('ended' || n)::uuid, 'pg.test', 'pg', 'heavy', 't' || n % 50 + 1, 'do', case when n % 20 = 0 then 'failed' else 'succeeded' end, '{}', 'tester', 's' || n % 2000 + 1, at,
          'pg.test', at, at, at, 3, 'restart', 0, 0, nextval('fences')
   from (select n, now() - n * interval '5 min' as at from generate_series(1, ${finished}) n) drawn`,
  `insert into runs (id, task, engine, lane, target, mode, state, cause, actor, operation, valid_until, attempts, retry, backoff_ms, timeout_ms)
   select md5('waits' || n)::uuid, 'pg.test', 'pg', 'heavy', 't' || n % 50 + 1, 'do', 'queued', '{}', 'tester', 'pg.test', now() + interval '1 day', 3, 'restart', 0, 600000
   from generate_series(1, ${waiting}) n`,
  `insert into run_locks (target, name, run, exclusive) select target, 'x', id, true from runs where state = 'queued'`,
  `insert into history (run, event) select id, e from runs, unnest(array['born', 'dispatched', 'claimed']) e`,
  `insert into run_logs (run, n, at, level, line) select id, 1, now(), 'info', 'line' from runs`,
  `insert into outbox (id, event, ce, ord, published_at, created_at)
   select md5('event' || n)::uuid, 'run_succeeded', '{}', n, now() - (${finished} - n) * interval '1 min', now() - (${finished} - n) * interval '1 min'
   from generate_series(1, ${finished}) n`,
  `insert into outbox (id, event, ce) select md5('due' || n)::uuid, 'run_succeeded', '{}' from generate_series(1, 100) n`,
  `update publisher set next_ord = ${finished} + 1`,
  `insert into positions (reader, ord) values ('alert-relay', ${finished} - 10)`,
  `insert into inbox (consumer, event, at) select 'alert-relay', id, created_at from outbox`,
  `insert into commands (id, key, verb, body, actor, created_at, answered_at, answer)
   select md5('command' || n)::uuid, 'k' || n, 'run', '{}', 'tester', now(), now(), '{}' from generate_series(1, ${finished / 4}) n`,
  `insert into schedules (name, task, target, spec, spec_hash)
   select 'e' || n, 'pg.test', 't' || n % 50 + 1, '{"event": "data_registered", "debounceMs": 30000}', '' from generate_series(1, 10) n`,
  `insert into triggers (schedule, target, event, first_event_at, fire_at, last_event)
   select name, target, 'data_registered', now(), now() + n * interval '1 s', gen_random_uuid() from (select name, target, row_number() over () as n from schedules) s`,
  `insert into ingest_dead_letters (name, entry, kind, reason, excerpt) select 'i' || n % 20, n || '-0', 'bad_json', '', '' from generate_series(1, 20000) n`,
  `insert into statements (target, queryid, toplevel, userid, dbid, role, moved_at, calls, total_ms, max_ms, rows, hit, read, dirtied, temp, wal)
   select 't' || n % 20 + 1, n, true, 10, 5, 'app', now(), 1, 1, 1, 1, 1, 1, 1, 1, 1 from generate_series(1, 20000) n`,
  `insert into statement_readings (target, at, dealloc) select 't' || n, now() - interval '5 min', 0 from generate_series(1, 20) n`,
  `insert into statement_texts (target, queryid, text) select target, queryid, 'SELECT' from statements`,
  `insert into statement_windows (target, since, until, missing, statements, calls, total_ms, rows, hit, read, dirtied, temp, wal)
   select 't' || n % 20 + 1, now() - (n + 1) * interval '1 min', now() - n * interval '1 min', '{}', array[n], array[1], array[1], array[1], array[1], array[1], array[1], array[1], array[1]
   from generate_series(1, 20000) n`,
  `insert into run_summaries (day, task, target, operation, schedule, mode, state, runs, slots, attempts, busy_ms, longest_ms)
   select '2024-01-01'::date + n / 50, 'pg.test', 't' || n, 'pg.test', 's', 'do', 'succeeded', 1, 1, 1, 1, 1 from generate_series(1, 20000) n`,
  `analyze`,
]

beforeAll(async () => {
  ;({ ledger, close } = await freshLedger())
  for (const statement of fill) await ledger.query(statement)
  const [queued] = await ids(`state = 'queued'`)
  const [ended] = await ids(`state = 'succeeded'`)
  const { rows } = await ledger.query<{ id: string; fence: number }>(
    `update runs set state = 'running', fence = nextval('fences'), lease_until = now() + interval '1 min', attempt_at = now()
     where id in (select id from runs where state = 'queued' order by id desc limit 1) returning id, fence`,
  )
  known = { running: rows[0]!, queued: queued!, ended: ended! }
})
afterAll(() => close?.())

const delivery = () => ({ run: known.queued, dispatch: 0, key: randomUUID(), worker: 'w', tasks: ['pg.test'], leaseMs: 30_000 })
const day = (ago: number) => new Date(Date.now() - ago * 86_400_000)
const verbs: Record<string, (db: Queryable) => Promise<unknown>> = {
  dispatch: db => runs.dispatch(db, 200, () => ({ verdict: 'allow' })),
  'explain waits': db => runs.explainWaits(db),
  'offer again': db => runs.unclaimed(db, 0),
  bear: db => runs.bear(db, birth()),
  skip: db => runs.skip(db, slotsSkipped, { code: 'paused', message: 'paused' }),
  overlap: db => runs.unfinishedOf(db, 's7', 't7'),
  claim: db => runs.claim(db, delivery()),
  heartbeat: db => runs.heartbeat(db, [known.running.fence], 30_000),
  'save state': db => runs.saveState(db, known.running.fence, {}),
  end: db => runs.end(db, { fence: known.running.fence, state: 'succeeded', events: [] }),
  requeue: db => runs.requeue(db, { fence: known.running.fence, after: 0, as: 'retry' }),
  park: db => runs.park(db, known.running.fence, day(-1)),
  'end a waiting run': async db => runs.endWaiting(db, (await runs.find(db, known.queued))[0]!, 'cancelled', null, []),
  'ask for a cancellation': db => runs.requestCancel(db, known.running.id, 'tester'),
  'plans that have ended': db => runs.planned(db),
  'want an approval': db => runs.wantApproval(db, known.queued, {}, { digest: 'x', planRun: known.ended }),
  'look at what awaits approval': db => runs.lockAwaiting(db, known.queued),
  approve: db =>
    runs.approve(db, {
      run: known.queued,
      digest: 'x',
      by: 'ada',
      reason: null,
      validUntil: day(-1),
      notBefore: day(0),
      policy: {},
      waitingFor: null,
      locks: [{ name: 'x', exclusive: true }],
    }),
  expired: db => runs.expired(db, 5_000),
  overdue: db => runs.overdue(db),
  lose: async db =>
    runs.lose(db, (await runs.find(db, known.running.id))[0]!, { to: 'failed', error: { code: 'lost', message: 'lost' } }, []),
  find: db => runs.find(db, known.ended.slice(-8)),
  'list the newest': db => runs.list(db, { limit: 20 }),
  'list what runs': db => runs.list(db, { states: ['running'], limit: 20 }),
  'list of a task': db => runs.list(db, { task: 'pg.none', limit: 20 }),
  'list of a target': db => runs.list(db, { target: 't9', limit: 20 }),
  'list since': db => runs.list(db, { since: day(1), limit: 20 }),
  'last of schedules': db => runs.lastOfSchedules(db),
  history: db => runs.historyOf(db, known.ended),
  queues: db => runs.queues(db),
  'is anything due': db => anyDue(db, new Date()),
  'due schedules': db => dueSchedules(db, new Date(), 50),
  'lines of a run': db => linesOf(db, known.ended),
  'append lines': db => appendLines(db, known.ended, [{ n: 900, at: new Date(), level: 'info', line: 'x' }]),
  'is anything to be published': db => isDue(db),
  'write and confirm a batch': async db => confirmBatch(db, (await writeBatch(db, 100))!.ahead),
  'save a position': async db => savePosition(db, 'alert-relay', null, (await tokens(db)).standing),
  'start over': async db => unmark(db, await tokens(db), ['alert-relay']),
  'trim the outbox': db => trimOutbox(db, day(7), ['alert-relay'], day(14)),
  backlog: db => backlog(db),
  'newest events': db => recent(db, { limit: 10 }),
  'events since': db => eventsSince(db, day(1), 100),
  'newest that succeeded': db => runs.newestSucceeded(db, 'pg.vacuum', 't9'),
  'last that succeeded': db => runs.lastSucceeded(db, { operation: 'pg.vacuum', target: 't9' }),
  'inbox: first time': db => firstTime(db, 'alert-relay', randomUUID()),
  'inbox: first times': db => firstTimes(db, 'ingest:a', [randomUUID(), randomUUID()]),
  'which events are awaited': db => awaitedOf(db, ['data_registered', 'backup_failed']),
  'record an event': db => recordEvent(db, { id: randomUUID(), event: 'data_registered', at: new Date() }),
  'is a trigger due': db => anyTriggerDue(db, new Date()),
  'schedules triggered': db => schedulesTriggered(db, new Date(), 50),
  'set entries aside': db => setAsideEntries(db, 'i7', [{ entry: '1-1', kind: 'no_type', reason: '', excerpt: '' }]),
  'what was set aside': db => rejectedWithin(db, 'i7', 3_600_000),
  'last successes': db => lastSuccesses(db),
  'statements as last counted': db => lastCounted(db, 't9'),
  'save statements': async db => saveStatements(db, await statementsRead(db)),
  'top statements': db => topStatements(db, { after: day(1), target: 't9', by: 'total', limit: 10, without: [] }),
  'windows of statements': db => windowFacts(db, { after: day(1), target: 't9', without: [] }),
  'trim statements': db => trimStatements(db, 't9', day(7)),
  'trim commands': db => trimCommands(db, day(90)),
  'sum up runs': db => sumUpRuns(db, day(400)),
  'find an alert': db => findAlerts(db, 'ffffffff'),
  'newest dump of this ledger': db => newestDumpOfThis(db),
  'days that are summed up': db => summedUp(db),
  'trim the inbox': db => trimInbox(db, day(30)),
}

test.each(Object.keys(verbs))('%s', async verb => {
  expect(await scans(verbs[verb]!)).toEqual([])
})

test('a statement without an index is found out', async () => {
  expect(await scans(db => db.query(`select count(*) from runs where actor = $1`, ['nobody']))).toEqual([
    'runs: select count(*) from runs where actor = $1',
  ])
})

/** The large tables that the statements of `work` would read from end to end. What it does is undone. */
async function scans(work: (db: Queryable) => Promise<unknown>): Promise<string[]> {
  const found: string[] = []
  const undone = new Error('undone')
  await ledger
    .transaction(async db => {
      // Whether an index can serve it, and not what the planner's dice of this minute say: it then reads from end to end only where it must.
      await db.query('set local enable_seqscan = off')
      await work({
        async query(sql, values) {
          const { rows } = await db.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`explain (format json) ${sql}`, values)
          for (const table of read(rows[0]!['QUERY PLAN'][0].Plan)) found.push(`${table}: ${sql.trim().replace(/\s+/g, ' ').slice(0, 90)}`)
          return db.query(sql, values)
        },
      })
      throw undone
    })
    .catch((error: Error) => {
      if (error !== undone) throw error
    })
  return found
}

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  Plans?: Plan[]
}
// Locks are those of runs that have not ended.
const large = new Set([
  'runs',
  'history',
  'run_logs',
  'outbox',
  'inbox',
  'commands',
  'schedules',
  'triggers',
  'ingest_dead_letters',
  'statements',
  'statement_texts',
  'statement_windows',
  'artifacts',
  'findings',
  'dead_letters',
  'episodes',
  'deliveries',
  'run_summaries',
])
const read = (plan: Plan): string[] => [
  ...(plan['Node Type'] === 'Seq Scan' && large.has(plan['Relation Name'] ?? '') ? [plan['Relation Name']!] : []),
  ...(plan.Plans ?? []).flatMap(read),
]

const ids = async (where: string) =>
  (await ledger.query<{ id: string }>(`select id from runs where ${where} order by id limit 1`)).rows.map(({ id }) => id)

/** One statement that moved and one that is new, since the last reading of t9. */
async function statementsRead(db: Queryable): Promise<StatementReading> {
  const { reading, statements, now } = await lastCounted(db, 't9')
  const { id, ...one } = statements[0]!
  const rose = { calls: 1, totalMs: 1, rows: 1, hit: 1, read: 1, dirtied: 1, temp: 1, wal: 1 }
  return {
    target: 't9',
    since: reading!.at,
    at: now,
    statsReset: null,
    dealloc: 0,
    missing: [],
    changed: [
      { ...one, id, rose },
      { ...one, queryid: '-1', id: null, rose },
    ],
    texts: [{ queryid: '-1', text: 'SELECT' }],
    roles: new Map(),
  }
}

const slotsSkipped = {
  schedule: 's7',
  target: 't7',
  task: 'pg.test',
  engine: 'pg',
  lane: 'heavy',
  operation: 'pg.test',
  reason: 'paused',
  from: new Date(),
  to: new Date(),
  slots: 1,
}
