import { expect, test } from 'vitest'
import { channelsFor } from '../src/routes.ts'
import { rules } from './relay-bench.ts'

const alert = { name: 'backup_failed', severity: 'critical', target: 'core' } as const
const core = { core: { engine: 'pg', url: 'postgres://h/d', labels: { team: 'platform' } } }

test.each([
  ['everything', {}, true],
  ['its severity', { severity: ['error', 'critical'] }, true],
  ['another severity', { severity: ['warning'] }, false],
  ['its event', { event: ['backup_failed'] }, true],
  ['another event', { event: ['vacuum_failed'] }, false],
  ['its target', { target: ['core'] }, true],
  ['another target', { target: ['other'] }, false],
  ['a label of its target', { labels: { team: 'platform' } }, true],
  ['a label that its target has not', { labels: { team: 'data' } }, false],
  ['its event on another target', { event: ['backup_failed'], target: ['other'] }, false],
])('a route that wants %s', (_, match, wanted) => {
  expect(channelsFor(rules({ channels: ops, routes: [{ match, to: ['ops'] }] }, core), alert).has('ops')).toBe(wanted)
})

test('a channel of several routes is told once, at the shortest interval', () => {
  const routes = [
    { to: ['ops'], repeat: '4h' },
    { to: ['ops', 'log'], repeat: '30m' },
  ]
  expect([...channelsFor(rules({ channels: { ...ops, log: { type: 'console' } }, routes }), alert)]).toEqual([
    ['ops', 1_800_000],
    ['log', 1_800_000],
  ])
})

test('an affair of our own has no target, and no route to one takes it', () => {
  const routes = [{ match: { target: ['core'] }, to: ['ops'] }]
  expect(channelsFor(rules({ channels: ops, routes }), { ...alert, target: null }).size).toBe(0)
})

const ops = { ops: { type: 'console' } }
