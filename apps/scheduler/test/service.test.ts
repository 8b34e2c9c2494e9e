// The bootstrap that all services share, as a process: what it refuses at the start, and that it waits for what is away and comes back by itself.
import { join } from 'node:path'
import { freePort } from '@dbops/servers/free-port'
import { startRedis } from '@dbops/servers/redis'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { afterEach, describe, expect, test } from 'vitest'

let line: Line
afterEach(() => line.close())
const main = 'apps/scheduler/src/main.ts'

describe('ends with 2', () => {
  test('without a ledger, naming what to write', async () => {
    line = await startLine('')
    const service = await line.start(main, { ready: false, env: { DBOPS_LEDGER_URL: '' } })
    expect([await service.ended, service.lines.join()]).toEqual([2, expect.stringMatching(/ledger\.url: is missing/)])
  })

  test('with a configuration that is wrong, naming file, line and path', async () => {
    line = await startLine('schedules: { a: { task: pg.vacuum, cron: "61 * * * *" } }\n')
    const service = await line.start(main, { ready: false })
    expect([await service.ended, service.lines.join()]).toEqual([2, expect.stringMatching(/axiom\.yaml:2 schedules\.a\.cron/)])
  })

  test('with an option that nobody knows', async () => {
    line = await startLine('')
    const service = await line.start(main, { ready: false, args: ['--cofnig', 'x'] })
    expect(await service.ended).toBe(2)
  })

  test('with a ledger that a newer release has migrated', async () => {
    line = await startLine('')
    await line.ledger.query(`insert into migrations (name, sha256, serves) values ('9999-later.sql', '', '9.0.0 to *')`)
    const service = await line.start(main, { ready: false })
    expect([await service.ended, service.lines.join()]).toEqual([2, expect.stringContaining('for programs from 9.0.0 on')])
  })
})

test('a ledger that is away: it lives, is not ready and says why', async () => {
  line = await startLine('')
  const service = await line.start(main, {
    ready: false,
    env: { DBOPS_LEDGER_URL: `postgres://x:hush-hush@127.0.0.1:${await freePort()}/dbops` },
  })
  const address = await addressOf(service.lines)
  const ready = await until('it says why', async () => {
    const answer = await fetch(`${address}/health/ready`)
    const body = (await answer.json()) as { reasons: string[] }
    return body.reasons.some(reason => reason.includes('ledger')) ? { status: answer.status, body } : undefined
  })
  const live = await fetch(`${address}/health/live`)
  expect([ready.status, ready.body.reasons.join(), live.status, service.isRunning()]).toEqual([
    503,
    expect.stringMatching(/the ledger does not answer/),
    200,
    true,
  ])
  expect(service.lines.join()).not.toContain('hush-hush')
})

test('an operations Redis that goes away and comes back: not ready with the reason, then ready by itself', async () => {
  line = await startLine('')
  // Kept, so that it comes back with its password.
  const kept = { port: await freePort(), dir: join(line.folder, 'redis'), settings: { maxmemoryPolicy: 'noeviction' } }
  const redis = await startRedis(kept)
  const service = await line.start(main, { env: { DBOPS_REDIS_URL: redis.url } })
  const address = await addressOf(service.lines)
  await redis.stop()
  const reasons = await until(
    'it says why',
    async () => ((await (await fetch(`${address}/health/ready`)).json()) as { reasons: string[] }).reasons.find(r => r.includes('Redis')),
    { within: 20_000 },
  )
  const again = await startRedis(kept)
  const ready = await until('it is ready again', async () => (await fetch(`${address}/health/ready`)).ok, { within: 20_000 })
  await service.stop()
  await again.stop()
  expect([reasons, ready]).toEqual([expect.stringContaining('does not answer'), true])
})

test('its page shows the metrics, with the application as a label', async () => {
  line = await startLine('')
  const service = await line.start(main)
  const text = await (await fetch(`${await addressOf(service.lines)}/metrics`)).text()
  expect(text).toMatch(/^dbops_outbox_due\{app="scheduler"\} 0$/m)
})

const addressOf = (lines: string[]) => until('it tells its address', () => /"address":"([^"]+)"/.exec(lines.join('\n'))?.[1])
