import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { findOrInstall, findOrInstallAll } from '../src/install.ts'
import { startRedis } from '../src/redis.ts'
import type { ServerError } from '../src/server-error.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'servers-test-'))
  vi.stubEnv('PATH', folder)
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

test('what cannot be installed is named, with the command that installs it', async () => {
  const error = await startRedis().catch((error: ServerError) => error)
  expect(error).toMatchObject({
    message: 'Redis is missing: this machine has no apt-get in its PATH',
    hint: expect.stringMatching(/^Install it: (sudo )?apt-get install --no-install-recommends redis-server$/) as string,
  })
})

test('a version that is not there is asked for by name, whatever other version is installed', async () => {
  const error = await findOrInstall('postgres@99').catch((error: ServerError) => error)
  expect(error).toMatchObject({
    message: 'PostgreSQL 99 is missing: this machine has no apt-get in its PATH',
    hint: expect.stringContaining('postgresql-99') as string,
  })
})

test.runIf(process.getuid?.() === 0)(
  'all that is missing is installed in one go: the lists first, then the packages, without services',
  async () => {
    // An apt-get that writes down what it is asked for, and puts the programs where they are looked for.
    program(
      'apt-get',
      `echo "$*" >>${folder}/asked; case $* in *install*) for one in redis-server mvn; do echo >${folder}/$one; chmod 755 ${folder}/$one; done; esac`,
    )
    program('env', 'shift; exec "$@"')
    program('chmod', 'exec /bin/chmod "$@"')
    const said: string[] = []
    const found = await findOrInstallAll(['redis-server', 'mvn'], { yes: true, say: line => said.push(line) })
    const { readFileSync } = await import('node:fs')
    expect([found, readFileSync(`${folder}/asked`, 'utf8').trim().split('\n'), said[0]]).toEqual([
      [`${folder}/redis-server`, `${folder}/mvn`],
      ['update -qq', '-o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends redis-server maven'],
      "Redis and Maven are missing. To be installed from the distribution's packages: redis-server, maven (apt-get install --no-install-recommends redis-server maven)",
    ])
  },
)

test.runIf(process.getuid?.() === 0)('what apt says when it fails is in the error', async () => {
  program('apt-get', 'echo "E: Unable to locate package" >&2; exit 100')
  await expect(findOrInstall('redis-server', { yes: true, say: () => {} })).rejects.toThrow(
    'Redis is missing: apt-get failed: E: Unable to locate package',
  )
})

function program(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, name), 0o755)
}
