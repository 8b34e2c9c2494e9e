// Leases, fences and locks against a model of twenty lines: whatever happens in whatever order, the ledger answers as the model does.
// Processes are not in it: what they may still say of an attempt that was taken from them is said here by an old fence.
import { randomUUID } from 'node:crypto'
import {
  bear,
  claim,
  dispatch,
  end,
  endWaiting,
  evicted,
  expired,
  find,
  heartbeat,
  type Lock,
  lose,
  park,
  requeue,
  type State,
} from '@dbops/ledger/runs'
import { birth } from '@dbops/testing/birth'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshLedger, type TestLedger } from './ledger-harness.ts'

let ledger: TestLedger
let close: () => Promise<void>
beforeAll(async () => {
  ;({ ledger, close } = await freshLedger())
  await ledger.query(`update targets set heavy = 2 where name = 'core'`)
})
afterAll(() => close())

const cap = 2
const attempts = 3
const lease = 30_000

interface Modelled {
  id: string
  locks: Lock[]
  state: State
  dispatch: number
  sent: boolean
  held: boolean
  attempt: number
  fence: number | null
  key: string | null
}
interface Model {
  runs: Modelled[]
  /** Every job that ever lay in Redis: none of them ever goes away. */
  jobs: { run: Modelled; dispatch: number; key: string }[]
  /** Every fence that was ever given, and to which run. */
  fences: { run: Modelled; fence: number }[]
  /** Taken from attempts whose sessions nobody has ended yet. */
  lost: Set<number>
}

const clash = (a: Modelled, b: Modelled) =>
  a !== b && a.locks.some(mine => b.locks.some(other => mine.name === other.name && (mine.exclusive || other.exclusive)))
const isHeldFrom = (m: Model, run: Modelled) => m.runs.some(other => other.held && clash(run, other))
const running = (m: Model) => m.runs.filter(run => run.state === 'running')

/** Who may begin: by age, nobody whose lock another holds or an older one waits for, and no more than the target bears. */
function expectedToBeSent(m: Model): Modelled[] {
  for (const run of m.runs.filter(one => one.state === 'parked'))
    Object.assign(run, { state: 'queued', dispatch: run.dispatch + 1, sent: false })
  const waits = m.runs.filter(run => run.state === 'queued')
  const free = waits.filter(
    run =>
      !run.sent &&
      (run.held ||
        (!isHeldFrom(m, run) && !waits.some(other => clash(run, other) && (other.sent || m.runs.indexOf(other) < m.runs.indexOf(run))))),
  )
  const taken = running(m).length + waits.filter(run => run.sent).length
  return free.slice(0, Math.max(0, cap - taken))
}

class Bear implements fc.AsyncCommand<Model, TestLedger> {
  readonly locks: Lock[]
  constructor(locks: Lock[]) {
    this.locks = locks
  }
  check = () => true
  async run(m: Model, db: TestLedger) {
    const id = birth().id
    await bear(db, birth({ id, locks: this.locks, attempts, notBefore: new Date(0) }))
    m.runs.push({ id, locks: this.locks, state: 'queued', dispatch: 0, sent: false, held: false, attempt: 0, fence: null, key: null })
  }
  toString = () => `bear(${this.locks.map(lock => lock.name + (lock.exclusive ? '!' : '')).join(' ')})`
}

class Dispatch implements fc.AsyncCommand<Model, TestLedger> {
  check = () => true
  async run(m: Model, db: TestLedger) {
    const expected = expectedToBeSent(m)
    const { sent } = (await db.transaction(tx => dispatch(tx, 200, () => ({ verdict: 'allow' }))))!
    expect(sent.map(run => run.id)).toEqual(expected.map(run => run.id))
    for (const run of expected) {
      run.sent = true
      m.jobs.push({ run, dispatch: run.dispatch, key: randomUUID() })
    }
  }
  toString = () => 'dispatch'
}

class Claim implements fc.AsyncCommand<Model, TestLedger> {
  readonly nth: number
  readonly again: boolean
  constructor(nth: number, again: boolean) {
    this.nth = nth
    this.again = again
  }
  check = (m: Readonly<Model>) => m.jobs.length > 0
  async run(m: Model, db: TestLedger) {
    const { run, dispatch: number, key: first } = m.jobs[this.nth % m.jobs.length]!
    const key = this.again ? first : randomUUID()
    const isMine = run.state === 'running' && run.key === key
    const isFree = run.state === 'queued' && run.dispatch === number
    const waits = !run.held && isHeldFrom(m, run) ? true : running(m).length >= cap
    const expected = isMine || (isFree && !waits) ? 'claimed' : isFree ? 'waits' : 'stale'
    const answer = await db.transaction(tx =>
      claim(tx, { run: run.id, dispatch: number, key, worker: 'w', tasks: ['pg.test'], leaseMs: lease }),
    )
    expect(answer.kind).toBe(expected)
    if (answer.kind === 'waits') Object.assign(run, { dispatch: run.dispatch + 1, sent: false })
    if (answer.kind !== 'claimed') return
    const fence = answer.run.fence!
    expect(new Set(answer.lostFences)).toEqual(m.lost)
    if (isMine) return expect(fence).toBe(run.fence)
    expect(fence).toBeGreaterThan(Math.max(0, ...m.fences.map(one => one.fence)))
    Object.assign(run, { state: 'running', attempt: run.attempt + 1, fence, key, held: true })
    m.fences.push({ run, fence })
  }
  toString = () => `claim(${this.nth}${this.again ? ', the same delivery' : ''})`
}

/** What somebody says of an attempt by its fence, be it his or long taken from him. */
class Say implements fc.AsyncCommand<Model, TestLedger> {
  readonly nth: number
  readonly what: 'beat' | 'end' | 'retry' | 'later' | 'released' | 'park'
  constructor(nth: number, what: Say['what']) {
    this.nth = nth
    this.what = what
  }
  check = (m: Readonly<Model>) => m.fences.length > 0
  async run(m: Model, db: TestLedger) {
    const { run, fence } = m.fences[this.nth % m.fences.length]!
    const isCurrent = run.state === 'running' && run.fence === fence
    expect(await this.say(db, fence)).toBe(isCurrent)
    if (!isCurrent || this.what === 'beat') return
    run.key = null
    if (this.what === 'end') Object.assign(run, { state: 'succeeded', held: false })
    else if (this.what === 'park') Object.assign(run, { state: 'parked', attempt: run.attempt - 1 })
    else
      Object.assign(run, {
        state: 'queued',
        held: false,
        dispatch: run.dispatch + 1,
        sent: false,
        attempt: run.attempt - (this.what === 'retry' ? 0 : 1),
      })
  }
  private async say(db: TestLedger, fence: number): Promise<boolean> {
    switch (this.what) {
      case 'beat':
        return (await heartbeat(db, [fence], lease)).length === 1
      case 'end':
        return (await db.transaction(tx => end(tx, { fence, state: 'succeeded', result: {}, events: [] }))) === 'ended'
      case 'park':
        return db.transaction(tx => park(tx, fence, new Date(0)))
      default:
        return db.transaction(tx => requeue(tx, { fence, after: 0, as: this.what as 'retry' }))
    }
  }
  toString = () => `${this.what}(fence ${this.nth})`
}

class LeaseRunsOut implements fc.AsyncCommand<Model, TestLedger> {
  readonly nth: number
  constructor(nth: number) {
    this.nth = nth
  }
  check = (m: Readonly<Model>) => running(m).length > 0
  async run(m: Model, db: TestLedger) {
    const run = running(m)[this.nth % running(m).length]!
    await db.query(`update runs set lease_until = now() - interval '1 s' where id = $1`, [run.id])
    await db.query(`update reaper set passed_at = clock_timestamp(), rest_until = clock_timestamp() - interval '1 s'`)
    await db.transaction(async tx => {
      const found = await expired(tx, 5_000)
      expect(found.map(one => one.id)).toEqual([run.id])
      const error = { code: 'lost', message: 'lost' }
      await lose(tx, found[0]!, run.attempt < attempts ? { to: 'queued', after: 0, error } : { to: 'failed', error }, [])
    })
    m.lost.add(run.fence!)
    if (run.attempt < attempts) Object.assign(run, { state: 'queued', held: false, dispatch: run.dispatch + 1, sent: false, key: null })
    else Object.assign(run, { state: 'failed', held: false, key: null })
  }
  toString = () => `lease runs out(${this.nth})`
}

class Evict implements fc.AsyncCommand<Model, TestLedger> {
  check = (m: Readonly<Model>) => m.lost.size > 0
  async run(m: Model, db: TestLedger) {
    await evicted(db, 'core', [...m.lost])
    m.lost.clear()
  }
  toString = () => 'evict'
}

class CancelWaiting implements fc.AsyncCommand<Model, TestLedger> {
  readonly nth: number
  constructor(nth: number) {
    this.nth = nth
  }
  check = (m: Readonly<Model>) => m.runs.length > 0
  async run(m: Model, db: TestLedger) {
    const run = m.runs[this.nth % m.runs.length]!
    const isWaiting = run.state === 'queued' || run.state === 'parked'
    const [found] = await find(db, run.id)
    expect(await db.transaction(tx => endWaiting(tx, found!, 'cancelled', null, []))).toBe(isWaiting)
    if (isWaiting) Object.assign(run, { state: 'cancelled', held: false })
  }
  toString = () => `cancel(${this.nth})`
}

const nth = fc.nat({ max: 20 })
const lock = fc.record({ name: fc.constantFrom('a', 'b'), exclusive: fc.boolean() })
const commands = fc.commands(
  [
    fc.uniqueArray(lock, { maxLength: 2, selector: one => one.name }).map(locks => new Bear(locks)),
    fc.constant(new Dispatch()),
    fc.constant(new Dispatch()),
    fc.tuple(nth, fc.boolean()).map(([n, again]) => new Claim(n, again)),
    fc.tuple(nth, fc.boolean()).map(([n, again]) => new Claim(n, again)),
    fc.tuple(nth, fc.constantFrom('beat', 'end', 'retry', 'later', 'released', 'park')).map(([n, what]) => new Say(n, what)),
    nth.map(n => new LeaseRunsOut(n)),
    fc.constant(new Evict()),
    nth.map(n => new CancelWaiting(n)),
  ],
  { maxCommands: 60, size: 'max' },
)

test('claims, leases, fences and locks answer as the model does, in any order of events', async () => {
  await fc.assert(
    fc.asyncProperty(commands, async all => {
      await ledger.query('truncate runs, run_locks, history, lost_fences, outbox cascade')
      const model: Model = { runs: [], jobs: [], fences: [], lost: new Set() }
      await fc.asyncModelRun(() => ({ model, real: ledger }), all)
      expect(await standing()).toEqual(
        model.runs.map(({ id, state, attempt, fence, held, locks }) => ({ id, state, attempt, fence, held: held ? locks.length : 0 })),
      )
    }),
    { numRuns: Number(process.env['DBOPS_MODEL_RUNS'] ?? 60), seed: 11, endOnFailure: false },
  )
})

const standing = async () =>
  (
    await ledger.query(`
      select id, state, attempt, fence, (select count(*)::int from run_locks where run = runs.id and held) as held from runs order by id`)
  ).rows
