// Episodes and notifications against a model of them: failures and successes heard in any order, looks at any time, receivers that take a message or never do.
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { handleEvent } from '../src/handle-event.ts'
import { lookAgain } from '../src/look-again.ts'
import { type Bench, event, openBench, rules } from './relay-bench.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())

/** Minutes; as `tells` has it in the rules of the bench. */
const repeat = 240
const operations = ['pg.dump:one', 'pg.dump:two', 'health'] as const
type Operation = (typeof operations)[number]
/** While `health` fails, nothing else is told of the target. */
const connection: Operation = 'health'

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constantFrom('failure', 'success'),
      operation: fc.constantFrom(...operations),
      // How long ago it happened: events are heard late, and in any order.
      ago: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 90 })),
      after: fc.integer({ min: 0, max: 60 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('look'), after: fc.integer({ min: 1, max: 300 }) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constantFrom('delivered', 'failed'), nth: fc.nat({ max: 9 }) }) },
)
type Step =
  | { what: 'failure' | 'success'; operation: Operation; ago: number; after: number }
  | { what: 'look'; after: number }
  | { what: 'delivered' | 'failed'; nth: number }

interface Told {
  state: 'firing' | 'resolved'
  status: 'pending' | 'delivered' | 'failed'
  at: number
}
interface Episode {
  operation: Operation
  state: 'firing' | 'resolved'
  since: number
  last: number
  failures: number
  told: Told[]
}

const clock = (minute: number) => new Date(Date.UTC(2026, 2, 1) + minute * 60_000).toISOString()

/** What the words promise, in minutes of one day and without a database. */
class Model {
  readonly episodes: Episode[] = []
  readonly lines: string[] = []
  private readonly succeeded = new Map<Operation, number>()

  failure(operation: Operation, at: number, now: number) {
    if (at < (this.succeeded.get(operation) ?? -1)) return
    let episode = this.firing(operation)
    if (episode)
      Object.assign(episode, { since: Math.min(episode.since, at), last: Math.max(episode.last, at), failures: episode.failures + 1 })
    else this.episodes.push((episode = { operation, state: 'firing', since: at, last: at, failures: 1, told: [] }))
    this.tell(episode, now)
  }

  success(operation: Operation, at: number, now: number) {
    this.succeeded.set(operation, Math.max(at, this.succeeded.get(operation) ?? -1))
    const episode = this.firing(operation)
    if (!episode || episode.last > at) return
    episode.state = 'resolved'
    if (episode.told.some(one => one.status !== 'failed')) this.write(episode, now)
  }

  look(now: number) {
    const inOrder = this.episodes.filter(one => one.state === 'firing').toSorted((a, b) => a.since - b.since)
    for (const episode of inOrder) this.tell(episode, now)
  }

  private tell(episode: Episode, now: number) {
    if (episode.operation !== connection && this.firing(connection)) return
    const last = episode.told.at(-1)
    if (!last || (now - last.at >= repeat && last.status !== 'pending')) this.write(episode, now)
  }
  private write(episode: Episode, at: number) {
    const nth = episode.told.filter(one => one.state === episode.state).length
    episode.told.push({ state: episode.state, status: 'pending', at })
    this.lines.push(`${episode.operation} ${episode.state} ${nth}`)
  }
  private firing = (operation: Operation) => this.episodes.find(one => one.operation === operation && one.state === 'firing')
}

test('alerts open, go on, end and are told as the model has it, in any order of events', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25, size: 'max' }), async steps => {
      await bench.reset()
      const model = new Model()
      let now = 100
      for (const one of steps as Step[]) {
        if ('after' in one) now += one.after
        await play(one, model, now)
      }
      expect(await standing()).toEqual({
        episodes: model.episodes
          .map(({ operation, state, since, failures }) => ({ operation, state, since: clock(since), failures }))
          .toSorted(byAll),
        written: model.lines.toSorted(),
      })
    }),
    { numRuns: Number(process.env['DBOPS_MODEL_RUNS'] ?? 150), seed: 13 },
  )
})

async function play(one: Step, model: Model, now: number) {
  if (one.what === 'look') {
    await bench.ledger.query('update episodes set look_at = $1 where look_at is not null', [clock(now)])
    await bench.ledger.transaction(db => lookAgain(db, rules(), new Date(clock(now))))
    model.look(now)
  } else if ('operation' in one) {
    const at = now - one.ago
    const said = { ...event({ at: '00:00', operation: one.operation, event: eventOf(one) }), time: clock(at) }
    await bench.ledger.transaction(db => handleEvent(db, said, rules(), new Date(clock(now))))
    model[one.what](one.operation, at, now)
  } else {
    const { rows } = await bench.ledger.query<{ key: string; operation: Operation; n: number; nth: number; state: string }>(pending)
    const row = rows[one.nth % (rows.length || 1)]
    if (!row) return
    await bench.ledger.query('update deliveries set status = $2 where key = $1', [row.key, one.what])
    const { operation, n, nth, state } = row
    const episode = model.episodes.filter(each => each.operation === operation)[n - 1]!
    episode.told.filter(each => each.state === state)[nth]!.status = one.what
  }
}

const pending = `
  select d.key, a.operation, e.n, d.nth, d.state from deliveries d join episodes e on e.id = d.episode join alerts a using (fingerprint)
  where d.status = 'pending' order by d.n`

const eventOf = ({ what, operation }: { what: 'failure' | 'success'; operation: Operation }) =>
  operation === connection
    ? what === 'failure'
      ? 'db_connection_failed'
      : 'db_connection_recovered'
    : what === 'failure'
      ? 'backup_failed'
      : 'backup_completed'

async function standing() {
  const episodes = await bench.ledger.query<{ operation: string; state: string; since: Date; failures: number }>(
    `select a.operation, e.state, e.since, e.failures from episodes e join alerts a using (fingerprint)`,
  )
  const written = await bench.ledger.query<{ line: string }>(
    `select a.operation || ' ' || d.state || ' ' || d.nth as line from deliveries d join episodes e on e.id = d.episode join alerts a using (fingerprint)`,
  )
  return {
    episodes: episodes.rows.map(row => ({ ...row, since: row.since.toISOString() })).toSorted(byAll),
    written: written.rows.map(row => row.line).toSorted(),
  }
}
const byAll = (a: object, b: object) => JSON.stringify(a).localeCompare(JSON.stringify(b))
