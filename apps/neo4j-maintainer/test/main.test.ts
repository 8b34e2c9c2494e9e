// The service as it is deployed: real processes under plain node, beside a ledger, an operations Redis and a Neo4j that goes and comes back.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listReadings } from '@dbops/ledger/probes'
import { listServices } from '@dbops/ledger/services'
import { startNeo4j } from '@dbops/servers/neo4j'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'

const main = 'apps/neo4j-maintainer/src/main.ts'
const place = mkdtempSync(join(tmpdir(), 'graph-'))
const home = join(place, 'home')
let graph: Awaited<ReturnType<typeof startNeo4j>>
let line: Line | undefined
beforeAll(async () => {
  graph = await startNeo4j({ home })
})
afterEach(() => line?.close())
afterAll(async () => {
  await graph?.stop()
  rmSync(place, { recursive: true, force: true })
})

test('it comes up under plain node, answers on its page, and ends in order', async () => {
  const maintainer = await begin()
  const [live, ready] = await Promise.all(['/health/live', '/health/ready'].map(async path => (await page(maintainer, path)).status))
  expect([live, ready, await maintainer.stop()]).toEqual([200, 200, 0])
})

test('a Neo4j that goes and comes back is told once each time, however many replicas look', { timeout: 240_000 }, async () => {
  const replicas = [await begin(), await line!.start(main)]
  await reading('ok')
  const gauges = await Promise.all(replicas.map(async replica => (await metrics(replica)).join()))
  await graph.stop()
  await reading('failed')
  await reading('failed', await lastReading())
  const down = await Promise.all(replicas.map(async replica => (await metrics(replica)).join()))
  graph = await startNeo4j({ home, port: Number(new URL(graph.url).port) })
  await reading('ok')
  const events = await line!.events()
  // A server that has just started may be silent once more where the machine is slow: told again, and never twice for one time.
  expect(events).toEqual(events.map((_, i) => (i % 2 ? 'neo4j_connection_recovered' : 'neo4j_connection_failed')))
  expect([
    [2, 4].includes(events.length),
    gauges.filter(Boolean),
    down.filter(Boolean),
    (await listReadings(line!.ledger)).map(({ target, probe, state, error }) => [target, probe, state, error]),
  ]).toEqual([true, ['dbops_neo4j_databases_online=2,dbops_target_up=1'], ['dbops_target_up=0'], [['graph', 'neo4j.health', 'ok', null]]])
})

async function begin(): Promise<Process> {
  line = await startLine('targets: { graph: { engine: neo4j, url: { env: GRAPH_URL } } }\n', { GRAPH_URL: graph.url })
  return line.start(main)
}

const lastReading = async () => (await listReadings(line!.ledger))[0]!.at

/** Waits for a reading of this state, later than `after`. */
const reading = (state: 'ok' | 'failed', after = new Date(0)) =>
  until(`a reading that is ${state}`, async () => (await listReadings(line!.ledger)).some(r => r.state === state && r.at > after), {
    within: 50_000, // a JVM that starts while the machine is busy
  })

async function page({ pid }: Process, path: string): Promise<Response> {
  const service = (await listServices(line!.ledger, 60_000)).find(({ name }) => name.endsWith(`:${pid}`))
  return fetch(`${service!.address}${path}`)
}

const metrics = async (replica: Process) =>
  [
    ...(await (await page(replica, '/metrics')).text()).matchAll(
      /^(dbops_(?:target_up|neo4j_databases_online))\{.*target="graph".*\} (\S+)$/gm,
    ),
  ]
    .map(([, name, value]) => `${name}=${value}`)
    .toSorted()
