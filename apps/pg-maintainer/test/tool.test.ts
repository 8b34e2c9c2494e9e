// The output of client programs: whole, or an error.

import { expect, test } from 'vitest'
import { startTool } from '../src/tool.ts'

const outputOf = async (script: string, before: (tool: ReturnType<typeof startTool>) => Promise<unknown> = async () => undefined) => {
  const tool = startTool('/bin/sh', ['-c', script], process.env)
  await before(tool)
  return Buffer.concat(await Array.fromAsync(tool.stdout)).toString('utf8')
}

test('what a program has written before its end is there for a reader who comes after it', async () => {
  expect(await outputOf('echo roles', tool => tool.done)).toBe('roles\n')
})

test('more than a pipe holds waits for its reader, and comes whole', async () => {
  const written = await outputOf('head -c 1000000 /dev/zero', () => new Promise(resolve => setImmediate(resolve)))
  expect(written).toHaveLength(1_000_000)
})

test('a program that fails after its output throws, also for a reader who comes after its end', async () => {
  await expect(outputOf('echo half; echo broken >&2; exit 3', tool => tool.done)).rejects.toMatchObject({
    code: 'tool_failed',
    message: 'sh ended with code 3: broken',
  })
})
