// What holds for every command: help with an example, near misses, exit codes, errors on stderr.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Refused } from '@dbops/contract/failure'
import { expect, test, vi } from 'vitest'
import type { Command } from '../src/command.ts'
import { Failed, fail } from '../src/fail.ts'
import { dbops } from './a-command.ts'

const folder = join(import.meta.dirname, '../src/commands')
const files = readdirSync(folder)
const commands = await Promise.all(files.map(async file => ((await import(join(folder, file))) as { command: Command }).command))

test.each(commands.map(({ path }, i) => [path, files[i]]))('%s stands in the file of its name', (path, file) => {
  expect(file).toBe(`${path.replaceAll(' ', '-')}.ts`)
})

test.each(commands)('$path --help shows how it is typed, and an example', async ({ path, examples }) => {
  const { code, stdout } = await dbops([...path.split(' '), '--help'])
  expect([code, stdout.startsWith(`Usage: dbops ${path}`), stdout.includes(examples[0][0])]).toEqual([0, true, true])
})

test.each(commands)('the examples of $path are of this command', ({ path, examples }) => {
  expect(examples.filter(([line]) => !line.includes(`./dbops ${path}`))).toEqual([])
})

const paths = commands.map(({ path }) => path)
const groups = [...new Set(paths.flatMap(path => path.split(' ').slice(0, -1)))].filter(word => !paths.includes(word))
test.each(groups)('%s is no command itself: its help says what those below it are about, and lists them with an example', async word => {
  const { code, stdout } = await dbops([word, '--help'])
  const below = commands.filter(({ path }) => path.startsWith(`${word} `))
  const untold = below.filter(
    ({ path, examples }) => !stdout.includes(`\n  ${path.slice(word.length + 1)} `) || !stdout.includes(examples[0][0]),
  )
  expect([code, stdout.split('\n')[2], untold]).toEqual([0, expect.stringMatching(/^[A-Z].*\.$/), []])
})

test('the first page lists every command', async () => {
  const { code, stdout } = await dbops(['--help'])
  const unlisted = commands.filter(({ path }) => !new RegExp(`^ {2}${path} `, 'm').test(stdout))
  expect([code, unlisted]).toEqual([0, []])
})

test('help is the first page, and help of a command is its --help', async () => {
  const [first, ofOne, itself] = await Promise.all([dbops(['help']), dbops(['help', 'runs', 'show']), dbops(['runs', 'show', '--help'])])
  expect([first.code, first.stdout.startsWith('Usage: dbops COMMAND'), ofOne.stdout]).toEqual([0, true, itself.stdout])
})

test("a command's help has the common options, and none of the command above it", async () => {
  const { stdout } = await dbops(['runs', 'show', '--help'])
  expect([stdout.includes('--debug'), stdout.includes('--since')]).toEqual([true, false])
})

test('--version is the version alone', async () => {
  const { code, stdout } = await dbops(['--version'])
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)])
})

test('a page without a terminal is refused with the way on', async () => {
  const { code, stderr } = await dbops(['status', '--watch'])
  expect([code, stderr]).toEqual([
    2,
    'dbops: there is no terminal to draw a page on\nhint: without --watch it is said once; --json says it again and again\n',
  ])
})

test.each([
  ['an unknown command', ['derve'], "unknown command 'derve'", 'did you mean derive?'],
  ['an unknown command of a group', ['config', 'chek'], "unknown command 'chek'", 'did you mean check?'],
  ['an unknown option', ['derive', '--chek'], "unknown option '--chek'", 'did you mean --check?'],
  ['one argument too many', ['version', 'now'], "too many arguments for 'version'. Expected 0 arguments but got 1: now.", './dbops --help'],
  ['an option without its value', ['version', '--config'], "option '--config <file>' argument missing", './dbops --help'],
])('%s ends with 2 and a hint', async (_, argv, message, hint) => {
  const { code, stderr, stdout } = await dbops(argv)
  expect([code, stderr, stdout]).toEqual([2, `dbops: ${message}\nhint: ${hint}\n`, ''])
})

test('no command at all shows the first page and ends with 2', async () => {
  const { code, stderr } = await dbops([])
  expect([code, stderr.startsWith('Usage: dbops COMMAND')]).toEqual([2, true])
})

test.each([
  ['a bug is one line and a hint', new TypeError('x is undefined'), false, 1, /^dbops: x is undefined\nhint: again with --debug .*\n$/],
  [
    '--debug adds where it comes from',
    new TypeError('x is undefined'),
    true,
    1,
    /^dbops: .*\nhint: .*\nTypeError: x is undefined\n {4}at /,
  ],
  ['what a rule refuses ends with 4', new Refused('a blackout', { hint: 'wait' }), false, 4, /^dbops: a blackout\nhint: wait\n$/],
  ['a server that is away ends with 3', Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), false, 3, /^dbops: refused\n$/],
  ['a wait that timed out ends with 5', new Failed('timedOut', 'still running'), false, 5, /^dbops: still running\n$/],
  ['a password in an error is not shown', new Error('postgres://me:secret@host/x'), false, 1, /^dbops: postgres:\/\/me:\*\*\*@host/],
] as const)('%s', async (_, error, debug, exit, text) => {
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const code = await fail(error, { debug })
  const lines = written.mock.calls.map(([line]) => String(line)).join('')
  written.mockRestore()
  expect([code, lines]).toEqual([exit, expect.stringMatching(text)])
})

test.each([
  [
    'wrong words',
    ['runs', '--jsn', '--json'],
    { code: 'wrong_use', message: "unknown option '--jsn'", hint: 'did you mean --json?', exitCode: 2 },
  ],
  ['wrong use', ['runs', '--limit', 'x', '--json'], { code: 'wrong_use', hint: 'for example --limit 50', exitCode: 2 }],
  ['no ledger', ['status', '--json'], { code: 'unreachable', message: 'no ledger is known here', exitCode: 3 }],
  [
    'a wrong configuration',
    ['status', '--json', '--config', 'none.yaml'],
    { code: 'config', exitCode: 2, errors: [{ file: 'none.yaml' }] },
  ],
])('with --json an error is one object on stderr: %s', async (_, argv, error) => {
  const { code, stderr, stdout } = await dbops(argv, { env: { DBOPS_HOME: folder } })
  expect([code, stdout, stderr.split('\n').length, JSON.parse(stderr)]).toMatchObject([error.exitCode, '', 2, { error }])
})

test.each([
  [['runs', 'show'], 'id', './dbops runs'],
  [['approve', '--as', 'ben'], 'run', './dbops runs --state awaiting_approval'],
  [['findings', 'acknowledge'], 'id', './dbops findings'],
])('%j without an id says what lists them', async (argv, argument, listedBy) => {
  const { code, stderr } = await dbops(argv)
  expect([code, stderr]).toEqual([
    2,
    `dbops: missing required argument '${argument}'\nhint: ${listedBy} lists them; the last 8 characters of an id will do\n`,
  ])
})

test('JSON is one object a line', async () => {
  const { code, stdout } = await dbops(['version', '--json'])
  expect([code, Object.keys(JSON.parse(stdout) as object)]).toEqual([0, ['version', 'node', 'catalog']])
})
