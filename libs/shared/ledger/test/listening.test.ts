// The session that listens: it is asked while it is told to listen, and several times at once.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshLedger } from './ledger-harness.ts'

let place: Awaited<ReturnType<typeof freshLedger>>
beforeAll(async () => {
  place = await freshLedger()
})
afterAll(() => place.close())

test('heartbeats that come together, and a channel more, share it: nobody is warned of, and it stays', async () => {
  const warnings: string[] = []
  const warned = (warning: Error) => void warnings.push(warning.message)
  process.on('warning', warned)
  const { ledger } = place
  let heard = 0
  const stop = ledger.listen('dbops_outbox', () => heard++)
  await expect.poll(() => heard).toBe(1) // it is connected
  const others = (['dbops_command', 'dbops_answer', 'dbops_queued'] as const).map(channel => ledger.listen(channel, () => undefined))
  const asked = Array.from({ length: 5 }, () => ledger.apart.query<{ pid: number }>('select pg_backend_pid() as pid'))
  const pids = new Set((await Promise.all(asked)).map(({ rows }) => rows[0]!.pid))
  await ledger.query(`notify dbops_outbox, 'x'`)
  await expect.poll(() => heard).toBe(2)
  for (const end of [stop, ...others]) end()
  await new Promise(resolve => setImmediate(resolve))
  process.off('warning', warned)
  expect([pids.size, warnings]).toEqual([1, []])
})
