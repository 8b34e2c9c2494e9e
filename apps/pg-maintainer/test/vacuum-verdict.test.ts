// What is said of a vacuum, by what went and who held the horizon when it began.
import { describe, expect, test } from 'vitest'
import type { Holder } from '../src/vacuum/holder.ts'
import { judge, type Seen } from '../src/vacuum/verdict.ts'
import { installation } from './harness.ts'

const mine = `dbops:${installation}:99:pg.vacuum`
const startedAt = new Date('2026-01-01T03:00:00Z')
const at = (seconds: number) => new Date(startedAt.getTime() + seconds * 1_000)
const holder = (more: Partial<Holder> = {}): Holder => ({
  kind: 'session',
  name: 'report',
  pid: 7,
  role: 'alice',
  database: null,
  since: at(-60),
  state: 'idle in transaction',
  age: 5,
  behind: 0,
  waitsFor: null,
  ...more,
})
const seen = (more: Partial<Seen>): Seen => ({
  table: 'core.outbox',
  startedAt,
  lastVacuum: at(10),
  before: 47_378,
  after: 47_348,
  threshold: 50,
  stillOld: null,
  holders: [],
  ...more,
})
const ourDump = holder({ name: `dbops:${installation}:17:pg.dump` })

describe('dead rows that stay above the number of autovacuum', () => {
  test.each<[string, number, Holder[], string, boolean]>([
    ['hardly any went, a session from before', 47_348, [holder()], 'held', false],
    ['hardly any went, a session of which it is not known since when', 47_348, [holder({ since: null })], 'held', false],
    ['hardly any went, a prepared transaction', 47_348, [holder({ kind: 'prepared' })], 'held', false],
    ['hardly any went, a slot', 47_348, [holder({ kind: 'slot', since: null })], 'held', false],
    ['hardly any went, a standby', 47_348, [holder({ kind: 'standby', since: null })], 'held', false],
    ['hardly any went, our own dump', 47_348, [ourDump], 'held_by_dump', true],
    ['hardly any went, a session that began later', 47_348, [holder({ since: at(1) })], 'stayed', false],
    ['hardly any went, one that began later before one from before', 47_348, [holder({ since: at(1) }), holder()], 'held', false],
    ['hardly any went, nobody', 47_348, [], 'stayed', false],
    ['one less than half went, a session', 23_690, [holder()], 'held', false],
    ['half went, a session', 23_689, [holder()], 'fell', true],
    ['half went, nobody', 23_689, [], 'fell', true],
    ['more than before, a session', 50_000, [holder()], 'held', false],
    ['more than before, nobody', 50_000, [], 'stayed', false],
    ['none above the number, a session', 50, [holder()], 'few', true],
  ])('%s', (_, after, holders, outcome, ok) => {
    expect(judge(seen({ after, holders }), mine)).toMatchObject({ outcome, ok })
  })
})

test('what is held is told with what went, who holds it, and what ends it', () => {
  expect(judge(seen({ holders: [holder()] }), mine)).toMatchObject({
    reason:
      'core.outbox: 47348 of 47378 dead rows stay: the horizon is held by session 7 "report" of alice (idle in transaction) since 2026-01-01T02:59:00.000Z',
    hint: 'end its transaction, or the session: SELECT pg_terminate_backend(7)',
  })
})

test('what fell is told with who keeps the rest', () => {
  expect(judge(seen({ after: 20_000, holders: [holder()] }), mine).reason).toMatch(
    /^core\.outbox: dead rows fell from 47378 to 20000; those that stay are held by session 7 "report"/,
  )
})
