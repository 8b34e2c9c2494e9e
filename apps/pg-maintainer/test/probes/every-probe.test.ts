// Every probe of this maintainer on a database in which nothing is, and as a role that may do nothing: a reading with reasons in it, never an error.
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import type { Probe } from '@dbops/contract/task'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresVerbs } from '../../src/task.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

let place: Ground
let role: string
beforeAll(async () => {
  place = await ground('CREATE SCHEMA core; CREATE TABLE core.secret (id int)')
  role = await place.role()
})
afterAll(() => place.drop())

const folder = new URL('../../src/probes/', import.meta.url)
const probes = await Promise.all(
  readdirSync(folder)
    .filter(file => file.endsWith('.ts'))
    .map(
      async file =>
        [`pg.${basename(file, '.ts')}`, ((await import(new URL(file, folder).href)) as { default: Probe<PostgresVerbs> }).default] as const,
    ),
)

describe.each(probes)('%s', (name, probe) => {
  test('is called as its file is', () => expect(probe.name).toBe(name))

  test.each(['superuser', 'plain role'])('as a %s', async who => {
    const { result } = await lookOnce(probe, who === 'superuser' ? place.url : place.as(role))
    const shown = [...Object.values(probe.gauges(result)), ...Object.values(probe.compat(result))]
    const values = shown.flatMap(gauge => (Array.isArray(gauge) ? gauge.map(({ value }) => value) : [gauge]))
    expect(values.filter(value => value !== null && !Number.isFinite(value))).toEqual([])
  })
})
