// pg.health on a real server: sizes with their age and the disk, and what a role without rights may know.

import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pgTarget } from '@dbops/contract/config-file'
import { afterEach, expect, test } from 'vitest'
import { localDisk } from '../../src/health/local-disk.ts'
import health from '../../src/probes/health.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

interface Health {
  space: {
    measuredAt: string
    databases: { name: string; bytes: number }[]
    usedBytes: number
    walBytes: number | null
    reason: string | null
  }
  diskUsage: { percent: number | null; totalBytes: number | null; source: string | null; reason: string | null }
}

test('the size of every database is measured, and shown under the name that others use', async () => {
  const place = await made()
  const { result } = await lookOnce(health, place.url)
  const [{ bytes }] = (await place.sql<{ bytes: number }>(`SELECT pg_database_size(current_database())::float8 AS bytes`)) as [
    { bytes: number },
  ]
  const shown = health.compat(result).pg_database_size_bytes as { labels: { datname: string }; value: number }[]
  const mine = shown.find(({ labels }) => labels.datname === place.name)!
  expect(Math.abs(mine.value - bytes)).toBeLessThan(1_000_000)
})

test('without a promised size the disk is null to a role that may not see where it is, with the reason', async () => {
  const place = await made()
  const { result } = await lookOnce(health, place.as(await place.role()))
  expect((result as unknown as Health).diskUsage).toMatchObject({
    percent: null,
    totalBytes: null,
    source: null,
    reason: expect.stringContaining('disk: 100GiB') as string,
  })
})

test('of a server on this machine the file system says how full its disk is', async () => {
  const place = await made()
  const [{ folder }] = (await place.sql<{ folder: string }>(`SELECT current_setting('data_directory') AS folder`)) as [{ folder: string }]
  const { diskUsage } = await seen(place)
  const { blocks, bsize } = statfsSync(folder)
  expect(diskUsage).toMatchObject({ source: 'statfs', totalBytes: blocks * bsize, reason: null, percent: expect.any(Number) as number })
})

test('a file of another start is no proof that the server is here', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'not-here-'))
  writeFileSync(join(folder, 'postmaster.pid'), `1\n${folder}\n1000\n5432\n`)
  const answers = [{ folder, port: '5432', started: 5_000 }]
  const far = await localDisk({ query: () => Promise.resolve(answers as never[]), execute: () => Promise.resolve([]) })
  answers[0]!.started = 1_001
  const near = await localDisk({ query: () => Promise.resolve(answers as never[]), execute: () => Promise.resolve([]) })
  rmSync(folder, { recursive: true })
  expect([far, near]).toEqual([null, expect.objectContaining({ totalBytes: expect.any(Number) as number })])
})

test('against a promised size the disk has a percentage, and is found when it is nearly full', async () => {
  const place = await made()
  const config = pgTarget.parse({ engine: 'pg', url: place.url, disk: '1MiB' })
  const { result, faults } = await lookOnce(health, place.url, { config })
  const { diskUsage } = result as unknown as Health
  expect([diskUsage.source, diskUsage.percent! > 100, faults.map(({ key, level }) => `${level} ${key}`)]).toEqual([
    'promised',
    true,
    ['error disk'],
  ])
})

test('a measurement is taken again after five minutes and not before', async () => {
  const place = await made()
  const { result } = await lookOnce(health, place.url)
  const fresh = (result as unknown as Health).space
  const stale = { ...fresh, measuredAt: new Date(Date.now() - 6 * 60_000).toISOString() }
  const times = []
  for (const space of [fresh, stale]) {
    const again = await lookOnce(health, place.url, { last: { at: new Date(), result: { ...result, space } } })
    times.push((again.result as unknown as Health).space.measuredAt === space.measuredAt)
  }
  expect(times).toEqual([true, false])
})

test('what a plain role may not measure is a reason, and no failed reading', async () => {
  const place = await made()
  const role = await place.role()
  await place.sql(`REVOKE CONNECT ON DATABASE postgres FROM PUBLIC`)
  try {
    const { result } = await lookOnce(health, place.as(role))
    const { space } = result as unknown as Health
    expect([space.walBytes, space.reason]).toEqual([
      null,
      expect.stringMatching(/may not measure 1 of \d+ databases.*pg_wal: the role may not measure it/) as string,
    ])
  } finally {
    await place.sql(`GRANT CONNECT ON DATABASE postgres TO PUBLIC`)
  }
})

test('a server without a standby has no lag, and says why', async () => {
  const { result } = await lookOnce(health, (await made()).url)
  expect([result.replicationLagSeconds, result.replicationLagReason]).toEqual([null, 'no standby is connected'])
})

async function made(): Promise<Ground> {
  const place = await ground('CREATE SCHEMA core')
  grounds.push(place)
  return place
}
const seen = async (place: Ground) => (await lookOnce(health, place.url)).result as unknown as Health
