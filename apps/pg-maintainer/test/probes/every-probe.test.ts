// Every probe of this maintainer on a database in which nothing is, and as a role that may do nothing: a reading with reasons in it, never an error.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ground, ground, lookOnce, probesIn } from '../harness.ts'

let place: Ground
const urls = new Map<string, string>()
beforeAll(async () => {
  place = await ground('CREATE SCHEMA core; CREATE TABLE core.secret (id int)')
  urls.set('superuser', place.url)
  urls.set('member of pg_monitor', place.as(await place.role('GRANT pg_monitor TO %')))
  urls.set('plain role', place.as(await place.role()))
})
afterAll(() => place.drop())

describe.concurrent.each(await probesIn())('%s', (name, probe) => {
  test('is called as its file is', () => expect(probe.name).toBe(name))

  // Side by side, as one of them samples for seconds.
  test.concurrent.each(['superuser', 'member of pg_monitor', 'plain role'])('as a %s', async who => {
    const { result } = await lookOnce(probe, urls.get(who)!)
    const shown = [...Object.values(probe.gauges(result)), ...Object.values(probe.compat(result))]
    const values = shown.flatMap(gauge => (Array.isArray(gauge) ? gauge.map(({ value }) => value) : [gauge]))
    expect(values.filter(value => value !== null && !Number.isFinite(value))).toEqual([])
  })
})
