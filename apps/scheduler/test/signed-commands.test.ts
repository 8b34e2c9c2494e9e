// Commands of other services: what is signed is carried out once, what is not is refused for its reason, and both programs of docs/commands.md work as they stand there.
import { execFile } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'
import type { Envelope } from '@dbops/contract/envelope'
import { signedVerbs, verbs } from '@dbops/ledger/commands'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canonical, signatureOf, verify } from '../src/verify-command.ts'

const root = resolve(import.meta.dirname, '../../..')
const secret = randomBytes(32).toString('hex')
let line: Line
let target: Awaited<ReturnType<typeof freshDatabase>>
let redis: Redis

beforeAll(async () => {
  target = await freshDatabase()
  const db = new Client(target.url)
  await db.connect()
  await db.query('create table items (id int primary key)')
  await db.end()
  line = await startLine(
    `targets: { core: { engine: pg, url: "\${CORE_URL}" } }
commands: { keys: { deployer: "\${DEPLOYER_KEY}" } }
`,
    { CORE_URL: target.url, DEPLOYER_KEY: secret },
  )
  await line.start('apps/scheduler/src/main.ts')
  await line.start('apps/pg-maintainer/src/main.ts')
  redis = new Redis(line.redisUrl)
})
afterAll(async () => {
  redis.disconnect()
  await line.close()
  await target.drop()
})

const analyze = { verb: 'run', task: 'pg.analyze', target: 'core', params: { tables: ['public.items'] } }
interface Sent {
  id?: string
  key?: string
  expires?: string
  body?: string
  sig?: string
}
const soon = (seconds = 60) => String(Math.floor(Date.now() / 1_000) + seconds)

/** Signs it well, but for what `over` says; what `over` holds as undefined is left out. */
async function send(body: unknown, over: Sent = {}, by = secret): Promise<string> {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const { id = randomUUID(), expires = soon() } = over
  const fields = { id, key: 'deployer', expires, body: text, sig: signatureOf(by, id, expires, text), ...over }
  await redis.xadd('dbops:commands', '*', ...Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [name, value])))
  return id
}
/** The answers to a command so far, as events; waits for `count` of them. */
const answers = (id: string | null, count = 1, within = 10_000): Promise<Envelope[]> =>
  until(
    `${count} answers to ${id}`,
    async () => {
      const found = (await tellings()).filter(each => each.data['command'] === id)
      return found.length >= count ? found : undefined
    },
    { within },
  )
const tellings = async () =>
  (
    await line.ledger.query<{ ce: Envelope }>(`select ce from outbox where event in ('command_accepted', 'command_refused') order by n`)
  ).rows.map(row => row.ce)
const runsOf = async (actor: string) =>
  (await line.ledger.query<{ id: string; task: string; actor: string }>('select id, task, actor from runs where actor = $1', [actor])).rows
const reasonOf = async (id: string | null, nth = 0) => (await answers(id, nth + 1))[nth]!.data['reason']

test('what is signed is carried out under its signer’s name, and the answer names the run', async () => {
  const [accepted] = await answers(await send(analyze))
  const run = (await runsOf('service:deployer')).find(one => one.id === accepted!.data['run'])
  expect([accepted!.type, accepted!.runid, run?.task]).toEqual(['io.axiom.dbops.command_accepted.v1', run?.id, 'pg.analyze'])
})

test('a pause and its end are carried out, and bear no run', async () => {
  const scope = { scope: 'target', name: 'core' }
  const pause = await answers(await send({ verb: 'pause', ...scope, until: new Date(Date.now() + 60_000).toISOString() }))
  const resume = await answers(await send({ verb: 'resume', ...scope }))
  expect([pause[0]!.data, resume[0]!.data]).toMatchObject([
    { verb: 'pause', run: null },
    { verb: 'resume', run: null },
  ])
})

const forPersons = ['approve', 'reject', 'resolve', 'acknowledge', 'replay', 'drop', 'release']
test('each verb is for services or for persons alone', () => {
  expect([...signedVerbs, ...forPersons].toSorted()).toEqual([...verbs].toSorted())
})

describe('it is refused, and told why,', () => {
  test.each<[reason: string, body: unknown, over: () => Sent, by?: string]>([
    ['forged', analyze, () => ({ sig: 'f'.repeat(64) })],
    ['forged', analyze, () => ({}), randomBytes(32).toString('hex')],
    ['forged', analyze, () => ({ sig: '' })],
    ['unsigned', analyze, () => ({ sig: undefined })],
    ['unknown_key', analyze, () => ({ key: 'nobody' })],
    ['unknown_key', analyze, () => ({ key: '__proto__' })],
    ['malformed', analyze, () => ({ expires: undefined })],
    ['malformed', analyze, () => ({ expires: '17e8' })],
    ['oversize', { ...analyze, padding: 'x'.repeat(70_000) }, () => ({})],
    ['expired', analyze, () => ({ expires: soon(-1) })],
    ['too_far_ahead', analyze, () => ({ expires: soon(400) })],
    ['refused', '{"verb": ', () => ({})],
    ['refused', { verb: 'explode' }, () => ({})],
    ['refused', { verb: 'run', task: 'pg.analyse' }, () => ({})],
    ['refused', { ...analyze, params: { tables: ['public.items'], deep: true } }, () => ({})],
    ['refused', { ...analyze, target: 'nowhere' }, () => ({})],
    ['refused', { ...analyze, actor: 'admin' }, () => ({})],
    ...forPersons.map((verb): [string, unknown, () => Sent] => ['not_for_services', { verb, run: randomUUID() }, () => ({})]),
  ])('%s: %j', async (reason, body, over, by) => {
    const before = (await runsOf('service:deployer')).length
    const id = await send(body, over(), by)
    expect([await reasonOf(id), (await runsOf('service:deployer')).length - before]).toEqual([reason, 0])
  })

  test('malformed: an id with a colon, of which nothing is repeated', async () => {
    const count = (await tellings()).filter(each => each.data['command'] === null).length
    await send(analyze, { id: 'a:b:c:d:e:f' })
    expect(await reasonOf(null, count)).toBe('malformed')
  })

  test('replayed: the entry once more, and another body under the same id', async () => {
    const expires = soon()
    const id = await send(analyze, { expires })
    await answers(id)
    await send(analyze, { id, expires })
    await send({ ...analyze, params: { tables: ['public.other'] } }, { id, expires })
    const all = await answers(id, 3)
    expect(all.map(each => [each.data['reason'], each.data['run']])).toEqual([
      [undefined, all[0]!.data['run']],
      ['replayed', all[0]!.data['run']],
      ['replayed', all[0]!.data['run']],
    ])
  })
})

describe('the program of the docs', () => {
  const run = (program: string[], body: unknown, env: Record<string, string> = {}) =>
    new Promise<{ code: number; out: string }>(done => {
      const [file, ...args] = [...program, JSON.stringify(body)]
      const all = { ...process.env, DBOPS_REDIS_URL: line.redisUrl, COMMAND_SECRET: secret, PATIENCE_S: '30', ...env }
      execFile(file, args, { env: all }, (error, stdout, stderr) => done({ code: Number(error?.code ?? 0), out: stdout + stderr }))
    })
  const programs: [string, string[]][] = [
    ['TypeScript', [process.execPath, join(root, 'docs/examples/command.ts')]],
    ['Python', ['python3', join(root, 'docs/examples/command.py')]],
  ]

  test.each(programs)('in %s sends a command and waits for the end of its run', async (_, program) => {
    const { code, out } = await run(program, analyze)
    expect([code, out]).toEqual([0, expect.stringMatching(/^accepted as run [0-9a-f-]{36}\npg\.analyze succeeded\n$/)])
  })
  test.each(programs)('in %s ends with 1 when the run fails', async (_, program) => {
    const { code, out } = await run(program, { ...analyze, params: { tables: ['public.gone'] } })
    expect([code, out]).toEqual([1, expect.stringMatching(/pg\.analyze (failed|refused)/)])
  })
  test.each(programs)('in %s ends with 4 and the reason when it is refused', async (_, program) => {
    const { code, out } = await run(program, analyze, { COMMAND_SECRET: 'x'.repeat(32) })
    expect([code, out]).toEqual([4, expect.stringMatching(/^refused \(forged\)/)])
  })
})

test('what Redis delivers again is the same command: it is not done again, and not answered again', async () => {
  const id = await send(analyze)
  await answers(id)
  const runs = (await runsOf('service:deployer')).length
  await redis.xgroup('SETID', 'dbops:commands', 'scheduler', '0')
  await answers(await send(analyze))
  expect([(await answers(id)).length, (await runsOf('service:deployer')).length - runs]).toEqual([1, 1])
})

test('any bytes are refused or passed by, and the next command is carried out', async () => {
  const bytes = fc.uint8Array({ maxLength: 40 }).map(each => Buffer.from(each))
  const entries = fc.sample(
    fc.array(fc.tuple(fc.oneof(bytes, fc.constantFrom('id', 'key', 'expires', 'body', 'sig').map(Buffer.from)), bytes), {
      minLength: 1,
      maxLength: 6,
    }),
    { numRuns: 200, seed: 5 },
  )
  for (const fields of entries) await redis.xadd('dbops:commands', '*', ...fields.flat())
  expect((await answers(await send(analyze)))[0]!.type).toMatch('accepted')
})

test('a flood of forged ones is counted, and told thirty times a minute', async () => {
  const before = (await tellings()).length
  const pipeline = redis.pipeline()
  for (let i = 0; i < 10_000; i++)
    pipeline.xadd('dbops:commands', '*', 'id', randomUUID(), 'key', 'deployer', 'expires', soon(), 'body', '{}', 'sig', 'f'.repeat(64))
  await pipeline.exec()
  await answers(await send(analyze))
  const commands = await line.ledger.query(`select from commands where key like 'signed:%' and answer is null`)
  expect([(await tellings()).length - before <= 31, commands.rows.length]).toEqual([true, 0])
})

test('a flood of forged ones does not stay in Redis', async () => {
  const before = await redis.xlen('dbops:commands')
  const pipeline = redis.pipeline()
  for (let i = 0; i < 1_000; i++) pipeline.xadd('dbops:commands', '*', 'id', randomUUID(), 'body', 'x'.repeat(1_000))
  await pipeline.exec()
  await answers(await send(analyze))
  expect((await redis.xlen('dbops:commands')) - before).toBe(1)
})

test('a flood of copies of one that was signed well is told thirty times a minute, and bears one run', async () => {
  const expires = soon()
  const id = await send(analyze, { expires })
  await answers(id)
  for (let i = 0; i < 500; i++) await send(analyze, { id, expires })
  await answers(await send(analyze))
  const told = (await answers(id)).map(each => each.data['run'])
  expect([told.length <= 31, new Set(told).size]).toEqual([true, 1])
})

test('what was delivered to a scheduler that died is carried out by another', async () => {
  const [id, expires, body] = [randomUUID(), soon(), JSON.stringify(analyze)]
  const fields = ['id', id, 'key', 'deployer', 'expires', expires, 'body', body, 'sig', signatureOf(secret, id, expires, body)]
  // In one step, before the living one reads it; and as if that had been a minute ago.
  const done = await redis
    .multi()
    .xadd('dbops:commands', '*', ...fields)
    .xreadgroup('GROUP', 'scheduler', 'dead', 'STREAMS', 'dbops:commands', '>')
    .exec()
  await redis.xclaim('dbops:commands', 'scheduler', 'dead', 0, done![0]![1] as string, 'IDLE', 70_000)
  expect((await answers(id, 1, 30_000)).map(each => each.type)).toEqual(['io.axiom.dbops.command_accepted.v1'])
})

test('a FLUSHALL takes the group along, and the next command is carried out all the same', async () => {
  await redis.flushall()
  expect((await answers(await send(analyze)))[0]!.type).toMatch('accepted')
})

test('no two different commands give the same signed text', () => {
  const id = fc.stringMatching(/^[A-Za-z0-9._-]{8,64}$/)
  const one = fc.tuple(id, fc.stringMatching(/^[0-9]{10}$/), fc.string())
  fc.assert(fc.property(one, one, (a, b) => (canonical(...a) === canonical(...b)) === (JSON.stringify(a) === JSON.stringify(b))))
})

test('a field that comes twice counts by its first, for the signature too', () => {
  const [id, expires] = ['0123456789', '1790000000']
  const sig = signatureOf(secret, id, expires, '{}')
  const fields = ['id', id, 'key', 'deployer', 'expires', expires, 'body', '{}', 'sig', sig, 'body', '{"verb":"run"}']
  expect(verify(fields, new Map([['deployer', secret]]))).toMatchObject({ body: '{}' })
})
