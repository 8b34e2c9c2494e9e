// SIGKILL of the maintainer at random moments of a restore check, with real processes: no scratch server, no folder of it and no lock survives the next start.
// Three moments of a fixed seed; twenty with DBOPS_LONG=1.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listArtifacts } from '@dbops/ledger/artifacts'
import { ask } from '@dbops/ledger/commands'
import { find, type Run } from '@dbops/ledger/runs'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ground, ground } from './harness.ts'
import { dumped, platform } from './restore-ground.ts'

let line: Line
let place: Ground
/** Of a check that nobody disturbs, ms. */
let took = 0

beforeAll(async () => {
  place = await ground(`CREATE ROLE t_killed_${process.pid}; ${platform(`t_killed_${process.pid}`)}`)
  line = await startLine(
    `targets: { core: { engine: pg, url: "\${CORE_URL}" } }
stores: { main: { url: "file://$FOLDER/store", free: 1MiB } }
dumps: { metadata: { target: core, data: [${dumped.join(', ')}], stores: [main] } }
`,
    { CORE_URL: place.url },
  )
  mkdirSync(join(line.folder, 'store'))
  await line.start('apps/scheduler/src/main.ts')
  const maintainer = await startMaintainer()
  await ended(await run('pg.dump'))
  await maintainer.stop()
})
afterAll(async () => {
  await line?.close()
  await place?.drop()
})

test('on the whole line: the verdict is in the catalogue, the evidence beside the backup, and nothing is left', async () => {
  const maintainer = await startMaintainer()
  const id = await run('pg.restore-check')
  const { state, result, startedAt, finishedAt } = await ended(id)
  await maintainer.stop()
  took = finishedAt!.getTime() - startedAt!.getTime()
  const [backup] = await listArtifacts(line.ledger, { limit: 1 })
  const { file } = result!['evidence'] as { file: string }
  expect([
    state,
    await line.events(id),
    backup?.verdict,
    backup?.verifiedAt instanceof Date,
    evidenceIn(backup!.location, file),
    scratch(),
  ]).toEqual(['succeeded', ['backup_verified'], 'pass', true, 'pass', []])
})

const moments = randoms(20_261_125, process.env.DBOPS_LONG ? 20 : 3).map(random => Math.round(random * 90))
let hits = 0

describe('SIGKILL of the maintainer', () => {
  test.each(moments)('after %i per cent of a restore check: its server dies with it, and the next start leaves nothing', async percent => {
    const killed = await startMaintainer()
    const id = await run('pg.restore-check')
    await until('it is in hand', async () => (await find(line.ledger, id))[0]!.state === 'running', { every: 5 })
    await new Promise(resolve => setTimeout(resolve, (took * percent) / 100))
    killed.kill('SIGKILL')
    await killed.ended
    const next = await startMaintainer()
    const { state, attempt } = await ended(id)
    await next.stop()
    if (attempt === 2) hits++
    const locks = await line.ledger.query('select * from run_locks')
    expect([state, scratch(), servers(), locks.rows]).toEqual(['succeeded', [], [], []])
  })

  test('came in the middle: most of those runs were taken up again', () => {
    expect(hits).toBeGreaterThan(moments.length / 2)
  })
})

const startMaintainer = () => line.start('apps/pg-maintainer/src/main.ts')

async function run(task: string): Promise<string> {
  const answer = await ask(line.ledger, { verb: 'run', body: { task, params: { dump: 'metadata' } }, actor: 'ada' })
  if (!answer.ok) throw new Error(JSON.stringify(answer))
  return answer.run
}
const final = new Set<string>(['succeeded', 'failed', 'cancelled', 'timed_out', 'refused'])
/** What is retried is retried after half a minute; the tests have no time for it. */
const ended = (id: string): Promise<Run> =>
  until(
    `run ${id} ends`,
    async () => {
      await line.ledger.query(`update runs set not_before = now() where id = $1 and state = 'queued'`, [id])
      const [found] = await find(line.ledger, id)
      if (!final.has(found!.state)) throw new Error(JSON.stringify([found!.state, found!.attempt, found!.waitingFor, found!.error]))
      return found
    },
    { within: 55_000, every: 100 },
  )

/** Folders and claims of this installation. */
const scratch = () => readdirSync(tmpdir()).filter(name => name.startsWith(`dbops-scratch-${line.ledger.installation}-`))
/** Processes whose command line names such a folder. */
const servers = () =>
  readdirSync('/proc')
    .filter(pid => /^\d+$/.test(pid) && existsSync(`/proc/${pid}/cmdline`))
    .map(pid => commandOf(pid))
    .filter(command => command.includes(`dbops-scratch-${line.ledger.installation}-`))
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
const evidenceIn = (location: string, file: string) =>
  (JSON.parse(readFileSync(`${location.replace('file://', '')}/${file}`, 'utf8')) as { verdict: string }).verdict

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
function randoms(seed: number, count: number): number[] {
  let state = seed
  return Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  })
}
