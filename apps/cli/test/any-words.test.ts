// The command line under anything that can be typed: each line ends with a documented code and a message that names what is wrong, and none of them shows a stack.
import { readdirSync } from 'node:fs'
import { openLedger } from '@dbops/ledger/ledger'
import { freshDatabase } from '@dbops/testing/database'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Command } from '../src/command.ts'
import { exits } from '../src/exits.ts'
import { runProgram } from '../src/program.ts'

const folder = new URL('../src/commands/', import.meta.url)
const commands = await Promise.all(
  readdirSync(folder).map(async file => ((await import(new URL(file, folder).href)) as { command: Command }).command),
)
const children = (await Promise.all(commands.map(async command => (await command.children?.()) ?? []))).flat()
const all = [...commands, ...children]
/** What starts, stops, measures, writes files or hands its words to another program is only given flags that it does not know. */
const acting = ['bench', 'chaos', 'derive', 'down', 'test', 'up', 'ledger migrate', 'ledger restored', 'backups verify', 'run']
const asking = all.filter(({ path }) => !acting.includes(path))
/** Without those that wait for a scheduler, which is not there. */
const answered = asking.filter(({ path }) => !path.startsWith('run '))

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeAll(async () => {
  database = await freshDatabase()
  await (await openLedger({ url: database.url, name: 'test' })).close()
  vi.stubEnv('DBOPS_LEDGER_URL', database.url)
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await database.drop()
})

const absurd = fc.oneof(
  fc.constantFrom('', ' ', '-1', '0', '1e9', 'NaN', 'Infinity', '0x10', '10001', '1.5', '٣', '$(id)', "';--", '\u{1f5c4}', '9'.repeat(400)),
  fc.constantFrom(
    '9'.repeat(400).concat('d'),
    '99999999999999h',
    '-5m',
    '1h30m',
    '2026-13-45T99:99',
    '999999-01-01T00:00',
    '0000-00-00',
    'now',
  ),
  // What no program can be given is left out: an argument ends at its first U+0000.
  fc.string({ unit: 'binary', maxLength: 20 }).map(text => text.replaceAll('\0', '')),
  fc.string({ maxLength: 20 }),
)

test('any value of any flag of any command ends with a documented code, in words', async () => {
  const flags = answered.flatMap(command =>
    Object.keys(command.options ?? {})
      .filter(form => form !== '--follow' && form !== '--watch')
      .map(form => ({ command, form })),
  )
  const line = fc.tuple(fc.constantFrom(...flags), absurd, fc.array(absurd, { maxLength: 2 })).map(([{ command, form }, value, more]) => [
    ...command.path.split(' '),
    ...(command.arguments ? more : []),
    form.split(' ')[0]!,
    // As one word, so that a value may begin with a dash.
    ...(form.includes('<') ? [value] : []),
  ])
  await fc.assert(
    fc.asyncProperty(line, async argv => {
      const { code, stdout, stderr } = await typed(argv)
      expect(Object.values(exits)).toContain(code)
      expect(code === 0 || stderr.includes('dbops: ') || stderr.includes('Usage: ')).toBe(true)
      expect(`${stdout}${stderr}`).not.toMatch(/^\s+at .*[:(]|again with --debug/m)
    }),
    { numRuns: 400, seed: 5 },
  )
}, 120_000)

test('any words at all are understood or refused with 2', async () => {
  const words = [
    ...new Set(asking.flatMap(({ path, options = {} }) => [...path.split(' '), ...Object.keys(options).map(form => form.split(' ')[0]!)])),
  ]
  const unknown = fc.string({ minLength: 1, maxLength: 12 }).map(text => `--x${text.replaceAll('\0', '')}`)
  const line = fc
    .tuple(
      fc.constantFrom(...all.filter(({ passesOn }) => !passesOn)),
      fc.array(fc.oneof(absurd, fc.constantFrom(...words)), { maxLength: 4 }),
      unknown,
    )
    .map(([{ path }, more, flag]) => [...path.split(' '), flag, ...more])
  await fc.assert(
    fc.asyncProperty(line, async argv => {
      const { code, stdout, stderr } = await typed(argv)
      // Help and version are shown for whoever asks for them anywhere.
      if (code === 0) expect(stdout).toMatch(/Usage: |^\d+\.\d+/)
      else expect([code, stderr]).toEqual([2, expect.stringMatching(/dbops: |Usage: /)])
      expect(`${stdout}${stderr}`).not.toMatch(/^\s+at .*[:(]|again with --debug/m)
    }),
    { numRuns: 400, seed: 6 },
  )
}, 120_000)

describe('a value that is none is refused by the name of its flag', () => {
  const none = fc.oneof(
    fc.constantFrom(
      '',
      ' ',
      '-1',
      'NaN',
      'Infinity',
      '1.5',
      '1e400',
      '9'.repeat(400),
      `${'9'.repeat(400)}d`,
      '2026-13-45T99:99',
      '1h30m',
      '٣d',
    ),
    fc.string({ minLength: 1, maxLength: 30 }).map(text => `x${text.replaceAll('\0', '')}`),
  )
  const numbers = /^--limit /
  const times = /^--(since|until|window|timeout) /
  const flags = all.flatMap(({ path, options = {}, arguments: given = {} }) =>
    Object.keys(options)
      .filter(form => (numbers.test(form) || times.test(form)) && asking.some(one => one.path === path))
      // Of the tasks one stands for all: the flags of `run` are the same for each.
      .filter(() => !path.startsWith('run ') || path === 'run pg.vacuum')
      .map(form => ({ path, flag: form.split(' ')[0]!, needs: Object.keys(given).some(name => name.startsWith('<')) })),
  )
  test.each(flags)('$path $flag', async ({ path, flag, needs }) => {
    await fc.assert(
      fc.asyncProperty(none, async value => {
        const scope = path === 'pause' ? ['--all'] : []
        const { code, stderr } = await typed([...path.split(' '), ...(needs ? ['00000000'] : []), ...scope, `${flag}=${value}`, '--yes'])
        expect([code, stderr]).toEqual([2, expect.stringContaining(flag)])
        expect(Math.max(...stderr.split('\n').map(text => text.length))).toBeLessThan(600)
      }),
      { numRuns: 25, seed: 7 },
    )
  })
})

async function typed(argv: string[]) {
  const texts = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map(name =>
    vi.spyOn(process[name], 'write').mockImplementation((text: string | Uint8Array, done?: unknown) => {
      texts[name] += String(text)
      if (typeof done === 'function') (done as () => void)()
      return true
    }),
  )
  try {
    return { code: await runProgram(argv), ...texts }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}
