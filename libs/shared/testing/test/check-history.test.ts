// The judge of a history is judged: one that is clean, and for each rule what breaks it and nothing else.
import type { Asked } from '@dbops/testing/history/asked'
import { checkHistory, rules, slotsOf } from '@dbops/testing/history/check-history'
import type { History, RunRow } from '@dbops/testing/history/read-history'
import { expect, test } from 'vitest'

const at = (second: number) => new Date(Date.UTC(2026, 2, 1, 12, 0, second))
const [dump, purge, skipped, asked, dumpEvent, purgeEvent, askedEvent, told] = Array.from(
  { length: 8 },
  (_, i) => `00000000-0000-7000-8000-00000000000${i + 1}`,
) as [string, string, string, string, string, string, string, string]
const episode = '00000000-0000-7000-8000-0000000000ee'
const place = 'chaos/postgres/core/dump/20260301-1/7'

const run = (over: Partial<RunRow>): RunRow => ({
  id: dump,
  task: 'pg.dump',
  state: 'succeeded',
  mode: 'do',
  target: 'core',
  operation: 'pg.dump:rows',
  schedule: null,
  slot: null,
  slotTo: null,
  slots: 1,
  cause: { kind: 'schedule' },
  actor: 'scheduler',
  parent: null,
  attempt: 1,
  attempts: 3,
  fence: 7,
  finishedAt: at(1),
  result: {},
  ...over,
})
const steps = (id: string, fence: number, ...events: string[]) => events.map(event => ({ run: id, event, attempt: 1, fence }))
const event = (id: string, name: string, of: Partial<RunRow> & { id: string }, ord: number) => ({
  id,
  event: name,
  run: of.id,
  ord,
  subject: 'pg/core',
  operation: of.operation ?? 'pg.dump:rows',
  at: at(ord),
  text: '{}',
})
const effect = (n: number, fence: number, key: string) => ({
  n,
  at: at(n),
  committed: at(n),
  app: `dbops:0a0a0a0a:${fence}:pg.purge`,
  what: 'purge a',
  key,
  target: 'core',
})
const key = (state: string, nth: number) => `${episode}:sink:${state}:${nth}`
const delivery = (state: string, nth: number) => ({
  key: key(state, nth),
  episode,
  channel: 'sink',
  state,
  nth,
  status: 'delivered',
})

/** A dump, a purge in two attempts, slots that were skipped, a command, an alert that ended, an event of the platform. */
function clean(): History {
  return {
    runs: [
      run({ schedule: 'dump', slot: at(0) }),
      run({
        id: purge,
        task: 'pg.purge',
        operation: 'pg.purge:a',
        attempt: 2,
        fence: 9,
        schedule: 'refresh-on-data',
        cause: { kind: 'event', events: 1 },
        result: { deleted: 2 },
      }),
      run({
        id: skipped,
        state: 'skipped',
        schedule: 'dump',
        slot: at(10),
        slotTo: at(20),
        slots: 2,
        attempt: 0,
        attempts: 0,
        fence: null,
      }),
      run({
        id: asked,
        task: 'pg.analyze',
        operation: 'pg.analyze',
        actor: 'chaos',
        cause: { kind: 'command' },
        fence: 10,
        state: 'failed',
      }),
    ],
    steps: [
      ...steps(dump, 7, 'born', 'dispatched', 'claimed', 'succeeded'),
      ...steps(purge, 8, 'born', 'dispatched', 'claimed', 'lost'),
      ...steps(purge, 9, 'dispatched', 'claimed', 'succeeded'),
      ...steps(skipped, 0, 'skipped'),
      ...steps(asked, 10, 'born', 'dispatched', 'sent_back', 'dispatched', 'claimed', 'failed'),
    ],
    locks: [],
    outbox: [
      event(dumpEvent, 'backup_completed', { id: dump }, 1),
      event(purgeEvent, 'cleanup_completed', { id: purge, operation: 'pg.purge:a' }, 2),
      event(askedEvent, 'analyze_failed', { id: asked, operation: 'pg.analyze' }, 3),
      { ...event(told, 'data_registered', { id: '' }, 4), run: null, text: '{"id": "platform-1"}' },
    ],
    inbox: [{ consumer: 'alert-relay', event: dumpEvent }],
    failures: [],
    commands: [{ key: 'k', verb: 'run', answer: { ok: true, run: asked } }],
    artifacts: [{ id: dumpEvent, run: dump, fence: 7, store: 'main', place }],
    places: [
      { store: 'main', place, void: false, bad: [] },
      { store: 'main', place: `${place}8`, void: true, bad: [] },
    ],
    strays: [],
    episodes: [
      {
        id: episode,
        name: 'analyze_failed',
        n: 1,
        state: 'firing',
        target: 'core',
        operation: 'pg.analyze',
        lastAt: at(3),
        lastSuccessAt: null,
      },
    ],
    deliveries: [delivery('firing', 0), delivery('firing', 1)],
    decisions: [{ event: askedEvent }],
    entries: [{ id: '1-0', event: null }],
    groups: [{ name: 'alert-relay', pending: 0, behind: false }],
    deadLetters: [{ reader: 'alert-relay', entry: '1-0', reason: 'its field "ce" is no JSON' }],
    effects: [effect(1, 8, '1'), effect(2, 9, '2')],
    readers: { reporting: [dumpEvent, purgeEvent, askedEvent, told] },
    notifications: [key('firing', 0), key('firing', 0), key('firing', 1)].map(one => ({ at: at(5), key: one, status: 204, body: {} })),
    counts: {},
  }
}
const wishes: Asked = {
  from: at(0),
  to: at(20),
  schedules: [{ name: 'dump', target: 'core', offset: 0, every: 10 }],
  actor: 'chaos',
  commands: [{ verb: 'run', key: 'k', sent: 2, accepted: true, run: asked, answers: 1 }],
  readers: ['reporting'],
  poison: [{ stream: 'dbops:events', entryId: '1-0', reason: 'no JSON' }],
  platformEvents: ['platform-1'],
  triggered: [{ name: 'refresh-on-data', event: 'data_registered' }],
  faults: [],
}

test('a clean history has no violation', () => {
  expect(checkHistory(clean(), wishes)).toEqual([])
})

const planted: [what: string, rule: RegExp, plant: (h: History) => void][] = [
  ['a slot that became nothing', /every planned slot/, h => Object.assign(h.runs[2]!, { slots: 1, slotTo: null })],
  ['a slot that was born twice', /every planned slot/, h => Object.assign(h.runs[2]!, { slot: at(0), slots: 3 })],
  ['a range that counts more slots than it covers', /every planned slot/, h => (h.runs[2]!.slots = 5)],
  ['a run that never ended', /every run has ended/, h => (h.runs[1]!.state = 'queued')],
  ['a run that ended twice', /by the ways that there are/, h => h.steps.push(...steps(dump, 7, 'succeeded'))],
  ['a claim of a run that was at work', /by the ways that there are/, h => h.steps.splice(3, 0, ...steps(dump, 70, 'claimed'))],
  ['an end that nobody worked for', /by the ways that there are/, h => h.steps.splice(2, 1)],
  ['an attempt too many', /more attempts/, h => (h.runs[1]!.attempts = 1)],
  ['a fence that was given twice', /a fence is given once/, h => h.steps.filter(one => one.run === asked).forEach(one => (one.fence = 7))],
  ['a run that no command asked for', /every command/, h => (h.runs[1]!.actor = 'chaos')],
  [
    'a command whose run is not there',
    /every command/,
    h => h.runs.splice(3, 1) && h.outbox.splice(2, 1) && h.steps.splice(-6) && h.readers['reporting']!.splice(2, 1),
  ],
  ['a dead attempt that went on', /no two fences/, h => (h.effects[0]!.committed = at(3))],
  ['a fence that was never given', /no two fences/, h => h.effects.push({ ...effect(9, 99, '9'), what: 'purge b' })],
  ['a row that went twice', /every effect is there once/, h => (h.effects[1]!.key = '1')],
  ['a purge that says too much', /tells the truth/, h => (h.runs[1]!.result = { deleted: 3 })],
  ['a lock that outlives its run', /holds and wants nothing/, h => h.locks.push({ run: dump, name: 'target', held: true })],
  [
    'an end that was told twice',
    /exactly one event/,
    h => {
      h.outbox.push(event('00000000-0000-7000-8000-0000000000ff', 'backup_completed', { id: dump }, 9))
      h.readers['reporting']!.push('00000000-0000-7000-8000-0000000000ff')
    },
  ],
  ['an end that nobody told', /exactly one event/, h => h.outbox.splice(1, 1)],
  ['an event that was never published', /every event is published/, h => (h.outbox[1]!.ord = null)],
  ['two events in one place', /every event is published/, h => (h.outbox[1]!.ord = 1)],
  ['an event that a registered reader missed', /every registered reader/, h => h.readers['reporting']!.pop()],
  [
    'a failure that no one decided upon',
    /was decided upon/,
    h => {
      h.decisions = []
    },
  ],
  ['an event that nobody wrote', /was decided upon/, h => (h.inbox[0]!.event = episode)],
  ['an event that was counted twice', /sets off the runs/, h => (h.runs[1]!.cause.events = 2)],
  ['an event that set off nothing', /sets off the runs/, h => (h.runs[1]!.cause = { kind: 'retry' })],
  ['an entry that stays pending', /left pending/, h => (h.groups[0]!.pending = 1)],
  ['a reader that is behind', /left pending/, h => (h.groups[0]!.behind = true)],
  ['a failure that is still counted', /left pending/, h => h.failures.push({ consumer: 'a', entry: '3-0' })],
  [
    'a dead letter that was no poison',
    /dead letters/,
    h => h.deadLetters.push({ reader: 'alert-relay', entry: '2-0', reason: 'its handler failed' }),
  ],
  ['poison that nobody set aside', /dead letters/, h => h.deadLetters.pop()],
  ['poison with another reason', /dead letters/, h => (h.deadLetters[0]!.reason = 'its handler failed 10 times')],
  ['a listed backup that is not there', /no listed backup/, h => h.places.shift()],
  ['a listed backup whose bytes were changed', /no listed backup/, h => (h.places[0]!.bad = ['rows.dump'])],
  ['a sealed backup that nobody lists', /no listed backup/, h => (h.places[1]!.void = false)],
  ['a dump that succeeded without a backup', /no listed backup/, h => Object.assign(h, { artifacts: [], places: [] })],
  ['files of a dead attempt', /no listed backup/, h => h.strays.push({ store: 'main', file: 'x/1/rows.dump' })],
  [
    'an alert that fires though all is well',
    /every alert/,
    h => {
      h.outbox[1]!.event = 'analyze_completed'
      h.outbox[1]!.operation = 'pg.analyze'
      h.outbox[1]!.at = at(9)
    },
  ],
  ['an alert that fires twice at once', /every alert/, h => h.episodes.push({ ...h.episodes[0]!, id: told, n: 2 })],
  ['a key that belongs to two notices', /notification/, h => (h.deliveries[1]!.key = key('firing', 0))],
  ['a notification that was never closed', /notification/, h => (h.deliveries[1]!.status = 'pending')],
  ['a notification that the receiver never took', /notification/, h => void (h.notifications[2]!.status = 503)],
  ['a notification that nobody wrote', /notification/, h => h.notifications.push({ ...h.notifications[0]!, key: 'x' })],
  [
    'what the platform told twice',
    /the platform told/,
    h => {
      h.outbox.push({ ...h.outbox[3]!, id: episode, ord: 10 })
      h.readers['reporting']!.push(episode)
      h.runs[1]!.cause.events = 2
    },
  ],
]
test.each(planted)('%s is found, and nothing else', (_, rule, plant) => {
  const history = clean()
  plant(history)
  const found = [...new Set(checkHistory(history, wishes).map(one => one.rule))]
  expect([found.length, found[0]]).toEqual([1, expect.stringMatching(rule)])
})

test('every rule is seen to fail', () => {
  expect(rules.filter(({ says }) => !planted.some(([, rule]) => rule.test(says)))).toEqual([])
})

test('slots are the seconds of each minute that are so many steps beyond the first', () => {
  expect(slotsOf({ offset: 7, every: 25 }, at(0), at(95)).map(slot => (slot - at(0).getTime()) / 1_000)).toEqual([7, 32, 57, 67, 92])
})
