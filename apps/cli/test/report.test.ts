// `report` on a whole line: a Redis is reviewed by its service, twice, and what was found becomes a page.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { type Line, startLine } from '@dbops/testing/line'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onTheLine, type Said } from './on-the-line.ts'

let server: Server
let client: Redis
let line: Line
let dbops: (...words: string[]) => Promise<Said>
const folder = mkdtempSync(join(tmpdir(), 'dbops-report-'))

beforeAll(async () => {
  server = await startRedis()
  client = new Redis(server.url)
  line = await startLine(`
targets:
  cache:
    engine: redis
    url: "${server.url}"
    keys: { sessions: { prefix: "session:", ttl: 7d } }
  empty: { engine: redis, url: "${server.url}/5" }
`)
  dbops = onTheLine(line)
  await line.start('apps/scheduler/src/main.ts')
  await line.start('apps/redis-inspector/src/main.ts')
})
afterAll(async () => {
  await line.close()
  client.disconnect()
  await server.stop()
  rmSync(folder, { recursive: true })
})

const fill = (from: number, to: number) =>
  client.eval(`for i = ${from}, ${to} do redis.call('SET', 'session:' .. i, 'x', 'EX', i % 10 == 0 and 9999999 or 3600) end`, 0)

test('before the first review it says how one is made', async () => {
  const [all, one] = [await dbops('report'), await dbops('report', 'redis.key-review')]
  expect([all.code, /redis\.key-review +never/.test(all.stdout), one.code, one.stderr]).toEqual([
    0,
    true,
    1,
    expect.stringMatching(/redis\.key-review has not succeeded yet\n.*\.\/dbops run redis\.key-review --wait/),
  ])
})

test('what the review found is read on the terminal, written as a page, and told as JSON, with what grew since the one before', async () => {
  const review = () => dbops('run', 'redis.key-review', '--target', 'cache', '--share', '100', '--wait', '--yes')
  await fill(1, 1_000)
  expect((await review()).code).toBe(0)
  await fill(1_001, 1_500)
  expect((await review()).code).toBe(0)
  const text = await dbops('report', 'redis.key-review')
  expect([text.code, text.stdout]).toEqual([0, expect.stringContaining('# Keys of cache')])
  expect(text.stdout).toMatch(/\* \*\*warning\*\* of 1,500 keys session:\\\* 150 live for up to 115d 17h; promised is at most 7d/)
  expect(text.stdout).toMatch(/\| session:\\\* +\| 1,500 \| .* \| +\+\d+\.\d KiB \|/)

  const [html, markdown] = [join(folder, 'keys.html'), join(folder, 'keys.md')]
  const written = await dbops('report', 'redis.key-review', '--html', html, '--markdown', markdown, '--lang', 'ko')
  expect([written.code, written.stdout]).toEqual([0, `wrote ${html}\nwrote ${markdown}\n`])
  expect([readFileSync(html, 'utf8'), readFileSync(markdown, 'utf8')]).toEqual([
    expect.stringMatching(/^<!doctype html>[^]*cache의 키[^]*<rect /),
    expect.stringContaining('# cache의 키'),
  ])
  expect(readdirSync(folder).toSorted()).toEqual(['keys.html', 'keys.md'])

  const { records } = await dbops('report', 'redis.key-review', '--json')
  expect(records).toMatchObject([
    { task: 'redis.key-review', target: 'cache', result: { keys: 1_500, complete: true }, findings: [{ level: 'warning' }], files: [] },
  ])
  const older = await dbops('runs', '--task', 'redis.key-review', '--json')
  const first = await dbops('report', '--run', String(older.records.at(-1)!['id']).slice(-8), '--json')
  expect(first.records).toMatchObject([{ result: { keys: 1_000, since: null } }])
})

test.each([
  [['report', 'pg.vacuum'], 2, /"pg\.vacuum" has no report\n.*redis\.key-review/],
  [['report', 'redis.key-review', '--target', 'empty'], 1, /has not succeeded yet on empty/],
  [
    ['report', 'redis.key-review', '--html', '/nowhere/at/all.html'],
    2,
    /\/nowhere\/at\/all\.html cannot be written.*\n.*is \/nowhere\/at there/,
  ],
  [['report', 'redis.key-review', '--lang', 'fr'], 2, /en, ko/],
  [['report', '--run', 'ffffffff'], 2, /no run/],
] as const)('%j is answered with %i', async (words, code, says) => {
  const said = await dbops(...words)
  expect([said.code, said.stderr]).toEqual([code, expect.stringMatching(says)])
})
