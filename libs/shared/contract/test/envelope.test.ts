// An event as readers get it: its fixed attributes, and what becomes of unknown ones.
import { envelope, type Fact, signalOf, toEnvelope, typeOf } from '@dbops/contract/envelope'
import { signalNames, signals } from '@dbops/contract/signals'
import { expect, test } from 'vitest'

const fact: Fact = {
  id: '01900000-0000-7000-8000-000000000001',
  app: 'scheduler',
  event: 'catalog_mismatch',
  subject: 'pg-maintainer',
  environment: 'prod',
  operation: 'catalog',
  at: new Date('2026-11-27T03:00:00Z'),
  data: { service: 'pg-maintainer@db-2:17', mine: 'a1', theirs: 'b2' },
}

test('a fact becomes an event of CloudEvents 1.0, with the severity of its signal', () => {
  expect(toEnvelope(fact)).toEqual({
    specversion: '1.0',
    id: fact.id,
    source: '/dbops/scheduler',
    type: 'io.axiom.dbops.catalog_mismatch.v1',
    subject: 'pg-maintainer',
    time: '2026-11-27T03:00:00.000Z',
    datacontenttype: 'application/json',
    severity: 'warning',
    environment: 'prod',
    operation: 'catalog',
    data: fact.data,
  })
})

test('the run is named where there is one', () => {
  expect(toEnvelope({ ...fact, runId: fact.id }).runid).toBe(fact.id)
})

test('a sender that lies about its data is found out where it lies', () => {
  expect(() => toEnvelope({ ...fact, data: { service: 'x' } })).toThrow(/mine/)
})

test('what a sender makes, a reader takes', () => {
  expect(envelope.safeParse(JSON.parse(JSON.stringify(toEnvelope(fact)))).success).toBe(true)
})

test('a reader takes an event with an attribute that is newer than itself', () => {
  expect(envelope.safeParse({ ...toEnvelope(fact), region: 'kr' }).success).toBe(true)
})

test.each([
  ['another version of CloudEvents', { specversion: '0.3' }],
  ['an id that is no uuid', { id: '17' }],
  ['a sender that is none of ours', { source: '/core' }],
  ['a type of another system', { type: 'io.axiom.core.case_closed.v1' }],
  ['a severity that nobody knows', { severity: 'fatal' }],
  ['a time that is none', { time: 'yesterday' }],
  ['data that is no object', { data: [1] }],
])('a reader refuses %s', (_, wrong) => {
  expect(envelope.safeParse({ ...toEnvelope(fact), ...wrong }).success).toBe(false)
})

test('every signal has its type, and every type leads back to its signal', () => {
  expect(signalNames.map(name => signalOf(typeOf(name)))).toEqual(signalNames)
})

test.each(['io.axiom.dbops.backup_failed.v2', 'io.axiom.dbops.backup_faild.v1', 'backup_failed', 'io.axiom.dbops..v1'])(
  '%s is the type of no signal of this version',
  type => {
    expect(signalOf(type)).toBeUndefined()
  },
)

test('what a signal resolves is a signal that opens an alert', () => {
  const closed = Object.values(signals).flatMap(signal => ('resolves' in signal ? signal.resolves : []))
  expect(closed.filter(name => !('alert' in signals[name]))).toEqual([])
})
