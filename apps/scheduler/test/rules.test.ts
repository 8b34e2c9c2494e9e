// The pure decisions of the scheduler: which due slot is run, what may begin now, and what becomes of a run whose process is gone.

import { judge, questionOf } from '@dbops/runtime/policy'
import { expect, test } from 'vitest'
import { fate } from '../src/reap.ts'
import { choose } from '../src/tick.ts'

const at = (time: string) => new Date(`2026-11-25T${time}Z`)
const lease = 30_000
const hour = 3_600_000

test.each([
  [
    'latest runs the last slot after an outage and skips those before it',
    'latest',
    '12:40:00',
    ['12:00:00', '12:30:00'],
    ['12:30:00'],
    ['12:00:00'],
  ],
  [
    'latest runs nothing when the last slot is past its catch-up',
    'latest',
    '14:00:00',
    ['12:00:00', '12:30:00'],
    [],
    ['12:00:00', '12:30:00'],
  ],
  [
    'all runs every slot within its catch-up, in their order',
    'all',
    '13:15:00',
    ['12:00:00', '12:30:00', '13:00:00'],
    ['12:30:00', '13:00:00'],
    ['12:00:00'],
  ],
  ['skip runs a slot that is on time', 'skip', '12:00:01', ['12:00:00'], ['12:00:00'], []],
  ['skip runs a slot that is less than a lease late: a scheduler was restarted', 'skip', '12:00:29', ['12:00:00'], ['12:00:00'], []],
  ['skip skips what fell due in an outage', 'skip', '12:01:00', ['12:00:00'], [], ['12:00:00']],
] as const)('misfire %s', (_, misfire, now, due, run, skipped) => {
  const chosen = choose(due.map(at), { misfire, catchUpMs: hour }, at(now), lease)
  expect(chosen).toEqual({ run: run.map(at), skipped: skipped.map(at) })
})

const rules = {
  zone: 'Asia/Seoul',
  environment: 'prod',
  policies: { 'forbid-vacuum-full': { window: 'operating-hours' }, 'forbid-ddl': { environments: ['prod'] } },
  windows: { night: { from: '00:00', to: '06:00' } },
  blackouts: [{ from: '2026-12-31T22:00', to: '2027-01-01T06:00', reason: 'year end', targets: ['core'], except: ['pg.dump'] }],
}
test.each([
  ['inside its window', { window: { name: 'night' } }, '2026-11-25T02:00+09:00', { verdict: 'allow' }],
  [
    'outside its window it waits for the opening',
    { window: { name: 'night' } },
    '2026-11-25T07:00+09:00',
    { verdict: 'wait', rule: 'window', until: new Date('2026-11-26T00:00+09:00') },
  ],
  [
    'in a blackout it waits for the end',
    {},
    '2026-12-31T23:00+09:00',
    { verdict: 'wait', rule: 'blackout', until: new Date('2027-01-01T06:00+09:00') },
  ],
  ['a task that the blackout excepts', { task: 'pg.dump' }, '2026-12-31T23:00+09:00', { verdict: 'allow' }],
  ['a target that the blackout does not name', { target: 'other' }, '2026-12-31T23:00+09:00', { verdict: 'allow' }],
  ['as the blackout ends', {}, '2027-01-01T06:00+09:00', { verdict: 'allow' }],
  [
    'VACUUM FULL in operating hours waits for their end, also where the configuration has no such window',
    { task: 'pg.vacuum-full' },
    '2026-11-25T12:00+09:00',
    {
      verdict: 'wait',
      rule: 'forbid-vacuum-full',
      until: new Date('2026-11-25T18:00+09:00'),
      reason: 'VACUUM FULL is forbidden in "operating-hours", until 2026-11-25 18:00 Asia/Seoul',
    },
  ],
  [
    'VACUUM FULL in the evening may go on until the hours begin',
    { task: 'pg.vacuum-full', lasts: 2 * hour },
    '2026-11-25T20:00+09:00',
    { verdict: 'allow', startBy: new Date('2026-11-26T07:00+09:00'), until: new Date('2026-11-26T09:00+09:00') },
  ],
  [
    'VACUUM FULL that would run into the hours waits until they are over',
    { task: 'pg.vacuum-full', lasts: 2 * hour },
    '2026-11-25T07:01+09:00',
    { verdict: 'wait', until: new Date('2026-11-25T18:00+09:00') },
  ],
  [
    'VACUUM FULL that is longer than a night waits for the weekend',
    { task: 'pg.vacuum-full', lasts: 20 * hour },
    '2026-11-25T20:00+09:00',
    { verdict: 'wait', until: new Date('2026-11-27T18:00+09:00') },
  ],
  [
    'VACUUM FULL that is longer than a weekend is refused',
    { task: 'pg.vacuum-full', lasts: 70 * hour },
    '2026-11-25T20:00+09:00',
    { verdict: 'refuse', rule: 'forbid-vacuum-full' },
  ],
  [
    'VACUUM FULL whose duration nobody knows is judged by the hour alone',
    { task: 'pg.vacuum-full' },
    '2026-11-25T08:59+09:00',
    { verdict: 'allow', until: new Date('2026-11-25T09:00+09:00') },
  ],
  ['a vacuum in operating hours', {}, '2026-11-25T12:00+09:00', { verdict: 'allow' }],
  ['a change of definitions in prod', { effect: 'ddl' }, '2026-11-25T20:00+09:00', { verdict: 'refuse', rule: 'forbid-ddl' }],
] as const)('policy: %s', (_, question, now, verdict) => {
  expect(judge({ task: 'pg.vacuum', target: 'core', ...question }, rules, new Date(now))).toMatchObject(verdict)
})

test('policy: definitions may be changed in an environment that is not named', () => {
  expect(judge({ task: 'pg.test', target: 'core', effect: 'ddl' }, { ...rules, environment: 'dev' }, at('12:00:00'))).toEqual({
    verdict: 'allow',
  })
})

test('policy: the hours of VACUUM FULL are those of the window that the policy names', () => {
  const named = { ...rules, policies: { ...rules.policies, 'forbid-vacuum-full': { window: 'night' } } }
  const judged = (now: string) => judge({ task: 'pg.vacuum-full', target: 'core' }, named, new Date(now)).verdict
  expect([judged('2026-11-25T02:00+09:00'), judged('2026-11-25T12:00+09:00')]).toEqual(['wait', 'allow'])
})

test.each([
  ['its forecast', { forecast: { seconds: 60 } }, 60_000],
  ['at most its timeout', { forecast: { seconds: 9_000 } }, 600_000],
  ['its timeout, where the plan has no forecast', {}, 600_000],
])('policy: a run takes %s', (_, plan, lasts) => {
  expect(questionOf({ task: 'pg.test', target: 'core', spec: { params: {}, entries: {} }, plan, timeoutMs: 600_000 }).lasts).toBe(lasts)
})

const lost = {
  cancelAsked: null,
  cancelActor: null,
  validUntil: at('18:00:00'),
  retry: 'restart',
  guarded: true,
  attempt: 1,
  attempts: 3,
  losses: 0,
  backoffMs: 30_000,
  worker: 'w',
  mode: 'do',
} as const
test.each([
  ['the first loss is tried again at once', {}, { to: 'queued', after: 0 }],
  ['the second loss backs off', { losses: 1, attempt: 2 }, { to: 'queued', after: expect.toSatisfy((ms: number) => ms > 100_000) }],
  ['a cancellation that nobody could obey', { cancelAsked: at('11:00:00') }, { to: 'cancelled' }],
  ['past its deadline', { validUntil: at('11:00:00') }, { to: 'timed_out' }],
  ['never repeated, and it had begun to act', { retry: 'never' }, { to: 'failed', error: { code: 'outcome_unknown' } }],
  ['never repeated, and it had not begun', { retry: 'never', guarded: false }, { to: 'queued' }],
  ['its last attempt', { attempt: 3 }, { to: 'failed', error: { code: 'lost' } }],
  [
    'a recovery is never given up',
    { mode: 'recover', attempt: 99, attempts: 1, losses: 50, cancelAsked: at('11:00:00') },
    { to: 'queued' },
  ],
] as const)('a lost attempt: %s', (_, over, expected) => {
  expect(fate({ ...lost, ...over }, at('12:00:00'))).toMatchObject(expected)
})
