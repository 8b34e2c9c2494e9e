// A service whose configuration is wrong is not started again and again: it is the end of `up`, with its reason.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, inject, test } from 'vitest'
import { serviceLog } from '../src/up/service-log.ts'
import { startServices } from '../src/up/services.ts'

const place = mkdtempSync(join(tmpdir(), 'cli-services-'))
afterAll(() => rmSync(place, { recursive: true }))
const teller = { say: () => {}, event: () => {} }

test('a service that ends with 2 is told with its reason and its hint, and is not started again', async () => {
  const { DBOPS_REDIS_URL: _, ...env } = { ...process.env, DBOPS_LEDGER_URL: inject('pgUrl') } as NodeJS.ProcessEnv
  let starts = 0
  const services = startServices({
    apps: ['scheduler'],
    args: () => [],
    env: () => env,
    logs: join(place, 'logs'),
    teller,
    changed: () => starts++,
  })
  const wrong = await services.wrong.catch((error: unknown) => error)
  await services.stop()
  expect([wrong, starts]).toEqual([
    expect.objectContaining({
      exit: 'wrong',
      message: expect.stringMatching(/^scheduler: .*redis/i) as string,
      hint: expect.stringContaining('DBOPS_REDIS_URL') as string,
    }),
    1,
  ])
})

test('a log is put aside when it is large, so that two files are all it can fill', () => {
  const file = join(place, 'big.log')
  const write = serviceLog(file, () => {})
  for (let i = 0; i < 3; i++) write('x'.repeat(6 * 1024 * 1024))
  expect([existsSync(`${file}.1`), existsSync(`${file}.2`), readFileSync(file).length]).toEqual([true, false, 6 * 1024 * 1024])
})

test('a line that comes in pieces is heard whole', () => {
  const heard: unknown[] = []
  const write = serviceLog(join(place, 'pieces.log'), line => heard.push(line))
  for (const part of ['{"message":', '"a"}\n{"mess', 'age":"b"}\nno JSON\n']) write(part)
  expect(heard).toEqual([{ message: 'a' }, { message: 'b' }, 'no JSON'])
})
