// Dumps of tables that are written all the time: what each manifest counts is what is in its dump, twenty times out of twenty.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSample, type Sample } from '@dbops/sample/create'
import { startTraffic } from '@dbops/sample/traffic'
import { startPostgres } from '@dbops/servers/postgres'
import { startRedis } from '@dbops/servers/redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import dump from '../src/tasks/dump.ts'
import { attempt, carryOut, head } from './harness.ts'

const folder = mkdtempSync(join(tmpdir(), 'dump-traffic-'))
let server: Awaited<ReturnType<typeof startPostgres>>
let platform: Awaited<ReturnType<typeof startRedis>>
let sample: Sample

beforeAll(async () => {
  server = await startPostgres({ say: () => undefined })
  platform = await startRedis({ dir: join(folder, 'redis') })
  sample = await createSample(server.url, { rows: 10_000 })
})
afterAll(async () => {
  await platform?.stop()
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('twenty dumps under traffic: each counts exactly the rows that it holds', async () => {
  const traffic = startTraffic({ databaseUrl: sample.appUrl, redisUrl: platform.url, perSecond: 200, slowEvery: 0 })
  const dumps = []
  try {
    while (dumps.length < 20) dumps.push(await dumped())
  } finally {
    await traffic.stop()
  }
  expect([dumps.map(({ counted }) => counted), new Set(dumps.map(({ counted }) => JSON.stringify(counted))).size > 10]).toEqual([
    dumps.map(({ held }) => held),
    true, // they were written meanwhile, or nothing was tried
  ])
})

/** By table: the rows that the manifest counts, and those that stand in the dump. */
async function dumped(): Promise<{ counted: Record<string, number>; held: Record<string, number> }> {
  const entry = {
    target: 'core',
    schema: 'all',
    data: ['core.cases', 'core.watch_alerts', 'core.event_outbox'],
    parents: 'include',
    stores: ['main'],
  }
  const tried = await attempt(dump, sample.url, { params: { dump: 'busy' }, entries: { dump: entry } })
  try {
    const { proof } = await carryOut(dump, tried)
    if (!proof.ok) throw new Error(proof.reason)
    const { tables = [] } = tried.writer.manifest(head(tried.fence))
    return { counted: Object.fromEntries(tables.map(({ table, rows }) => [table, rows])), held: rowsIn(join(tried.folder, 'dump.pgdump')) }
  } finally {
    await tried.close()
  }
}

/** Counts the lines of each COPY in the dump as text. */
function rowsIn(file: string): Record<string, number> {
  const text = execFileSync('pg_restore', ['--data-only', '--file=-', file], { encoding: 'utf8', maxBuffer: 1 << 28 })
  const copies = text.matchAll(/^COPY (\S+) \(.*\) FROM stdin;\n([\s\S]*?)^\\\.$/gm)
  return Object.fromEntries([...copies].map(([, table, lines]) => [table!, lines!.split('\n').length - 1]))
}
