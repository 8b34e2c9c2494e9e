// Finds the programs of an engine, and installs them from Debian's or Ubuntu's own packages when they are missing: after saying what,
// after asking on a terminal, and without leaving a server of the distribution's own running. Where that cannot be done the error
// carries the command that does it; nothing is skipped.
import { execFileSync, spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { ServerError } from './server-error.ts'

export interface InstallOptions {
  /** No question, also on a terminal. */
  yes?: boolean
  say?: (line: string) => void
  /** Wraps the time in which the terminal must be as the shell left it: a question is asked, sudo may ask for a password. */
  withTerminal?: (work: () => Promise<void>) => Promise<void>
}

interface Program {
  what: string
  package: string
  find(): string | undefined
}

/** What the engines are started with. A major version of PostgreSQL may be asked for: `postgres@16`. */
export type Needed =
  | 'postgres'
  | `postgres@${string}`
  | 'pg_cron'
  | 'redis-server'
  | 'java'
  | 'mvn'
  | 'pgbouncer'
  | 'prometheus'
  | 'promtool'
  | 'python3'
  | 'libfaketime'

/** The full path of a program that is installed; nothing is installed for it. */
export const find = (needed: Needed): string | undefined => program(needed).find()

/** The full path of a program, installed if need be. Errors: ServerError, with the command to type. */
export async function findOrInstall(needed: Needed, options: InstallOptions = {}): Promise<string> {
  const [path] = await findOrInstallAll([needed], options)
  return path as string
}

/** As `findOrInstall`, for several at once: one question, one run of apt. The paths come in the order asked. */
export async function findOrInstallAll(needed: Needed[], options: InstallOptions = {}): Promise<string[]> {
  const programs = needed.map(program)
  const missing = programs.filter(one => !one.find())
  const { withTerminal = work => work() } = options
  if (missing.length) await withTerminal(() => install(missing, options))
  return programs.map(one => {
    const path = one.find()
    if (!path) throw new ServerError(`${one.what} is not found, though the package ${one.package} is installed`)
    return path
  })
}

function program(needed: Needed): Program {
  const [name, major] = needed.split('@') as [string, string | undefined]
  if (name === 'postgres')
    return { what: `PostgreSQL${major ? ` ${major}` : ''}`, package: `postgresql-${major ?? '15'}`, find: () => findPostgres(major) }
  if (name === 'pg_cron')
    return { what: 'pg_cron', package: 'postgresql-15-cron', find: () => existing('/usr/lib/postgresql/15/lib/pg_cron.so') }
  if (name === 'redis-server') return { what: 'Redis', package: 'redis-server', find: () => inPath('redis-server') }
  if (name === 'pgbouncer')
    return { what: 'PgBouncer', package: 'pgbouncer', find: () => inPath('pgbouncer') ?? inPath('pgbouncer', '/usr/sbin') }
  if (name === 'prometheus' || name === 'promtool') return { what: 'Prometheus', package: 'prometheus', find: () => inPath(name) }
  if (name === 'libfaketime') return { what: 'libfaketime', package: 'libfaketime', find: findFaketime }
  if (name === 'python3') return { what: 'Python with pip', package: 'python3-pip', find: () => inPath('python3') }
  if (name === 'java') return { what: 'Java 17', package: 'openjdk-17-jre-headless', find: findJava }
  return { what: 'Maven', package: 'maven', find: () => inPath('mvn') }
}

/** A library, in the folder of the machine's own architecture. */
const findFaketime = () =>
  (existsSync('/usr/lib') ? readdirSync('/usr/lib') : [])
    .map(folder => `/usr/lib/${folder}/faketime/libfaketime.so.1`)
    .find(file => existsSync(file))

/** Debian keeps every major version in a folder of its own, outside the PATH. Unasked: 15, the platform's, else the newest there is. */
function findPostgres(major?: string): string | undefined {
  const versions = '/usr/lib/postgresql'
  const installed = (existsSync(versions) ? readdirSync(versions) : [])
    .filter(version => isProgram(`${versions}/${version}/bin/postgres`))
    .sort((a, b) => Number(b === '15') - Number(a === '15') || Number(b) - Number(a))
  const chosen = major ? installed.find(version => version === major) : installed[0]
  if (chosen) return `${versions}/${chosen}/bin/postgres`
  const other = inPath('postgres')
  if (!other || !major) return other
  return execFileSync(other, ['--version'], { encoding: 'utf8' }).includes(` ${major}.`) ? other : undefined
}

/** The servers of PostgreSQL on this machine: each major version's program, the oldest first. Nothing is installed. */
export function installedPostgres(): { major: number; program: string }[] {
  const versions = '/usr/lib/postgresql'
  const debian = (existsSync(versions) ? readdirSync(versions) : []).map(version => `${versions}/${version}/bin/postgres`)
  const found = [...debian, inPath('postgres')].flatMap(program =>
    program && isProgram(program)
      ? [{ program, major: Number(/(\d+)/.exec(spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout)?.[1]) }]
      : [],
  )
  return found.filter(({ major }, place) => found.findIndex(one => one.major === major) === place).toSorted((a, b) => a.major - b.major)
}

/** Neo4j 5 needs Java 17 or later; several may be installed and the PATH's may be an older one. */
function findJava(): string | undefined {
  const home = process.env.JAVA_HOME
  const debian = existsSync('/usr/lib/jvm') ? readdirSync('/usr/lib/jvm').filter(name => name.startsWith('java-17-')) : []
  const candidates = [home && join(home, 'bin/java'), inPath('java'), ...debian.map(name => `/usr/lib/jvm/${name}/bin/java`)]
  return candidates.find(path => path && isProgram(path) && javaMajor(path) >= 17) || undefined
}

const javaMajor = (java: string) => Number(/version "(\d+)/.exec(spawnSync(java, ['-version'], { encoding: 'utf8' }).stderr)?.[1] ?? 0)

const inPath = (name: string, path = process.env.PATH ?? '') =>
  path
    .split(delimiter)
    .map(folder => join(folder, name))
    .find(isProgram)

const existing = (path: string) => (existsSync(path) ? path : undefined)

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

async function install(missing: Program[], { yes, say = line => console.error(line) }: InstallOptions): Promise<void> {
  const names = [...new Set(missing.map(one => one.what))]
  const what = `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'}`
  const packages = [...new Set(missing.map(one => one.package))]
  const command = `apt-get install --no-install-recommends ${packages.join(' ')}`
  const root = process.getuid?.() === 0
  const byHand = `Install it: ${root ? '' : 'sudo '}${command}`
  const refuse = (why: string) => new ServerError(`${what} missing: ${why}`, byHand)
  const apt = inPath('apt-get')
  if (!apt) throw refuse('this machine has no apt-get in its PATH')
  const sudo = root ? undefined : inPath('sudo')
  if (!root && !sudo) throw refuse('it cannot be installed without root or sudo')
  const terminal = process.stdin.isTTY && process.stderr.isTTY
  // Without a terminal nobody could type the password.
  if (sudo && !terminal && spawnSync(sudo, ['-n', 'true']).status !== 0) throw refuse('sudo asks for a password, and there is no terminal')

  say(`${what} missing. To be installed from the distribution's packages: ${packages.join(', ')} (${command})`)
  if (terminal && !yes && !(await agreed('Install now? [Y/n] '))) throw refuse('not installed, as answered')

  const begun = performance.now()
  await withoutServices(sudo, packages, () => {
    run(sudo, [apt, 'update', '-qq'], refuse)
    run(
      sudo,
      [
        'env',
        'DEBIAN_FRONTEND=noninteractive',
        apt,
        '-o',
        'DPkg::Lock::Timeout=300',
        'install',
        '-y',
        '-qq',
        '--no-install-recommends',
        ...packages,
      ],
      refuse,
    )
  })
  say(`installed ${packages.join(', ')} in ${Math.round((performance.now() - begun) / 1000)} s`)
}

async function agreed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return !/^n/i.test((await terminal.question(question)).trim())
  } finally {
    terminal.close()
  }
}

const noMainCluster = '/etc/postgresql-common/createcluster.conf'
const policy = '/usr/sbin/policy-rc.d'

// Debian starts what it installs. Its own switch keeps PostgreSQL from creating a cluster; a policy-rc.d that says 101 ("forbidden")
// keeps every service from being started meanwhile; `disable` keeps Redis from coming with the next boot.
async function withoutServices(sudo: string | undefined, packages: string[], work: () => void): Promise<void> {
  const files: [path: string, text: string, mode: string][] = []
  const postgres = packages.some(name => name.startsWith('postgresql'))
  if (postgres && !existsSync(noMainCluster)) files.push([noMainCluster, 'create_main_cluster = false\n', '644'])
  if (!existsSync(policy)) files.push([policy, '#!/bin/sh\nexit 101\n', '755'])
  for (const [path, text, mode] of files) put(sudo, path, text, mode)
  try {
    work()
    const services = packages.filter(name => ['redis-server', 'pgbouncer', 'prometheus'].includes(name))
    if (services.length && inPath('systemctl'))
      spawnSync(...elevated(sudo, ['systemctl', 'disable', '--now', ...services]), { stdio: 'ignore' })
  } finally {
    // The file for PostgreSQL stays: a later package of another version must not start a cluster either.
    if (files.some(([path]) => path === policy)) remove(sudo, policy)
  }
}

function put(sudo: string | undefined, path: string, text: string, mode: string): void {
  if (!sudo) {
    mkdirSync(dirname(path), { recursive: true })
    return writeFileSync(path, text, { mode: Number.parseInt(mode, 8) })
  }
  execFileSync(sudo, ['sh', '-c', 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"', 'put', path, mode], { input: text })
}

function remove(sudo: string | undefined, path: string): void {
  if (!sudo) return rmSync(path, { force: true })
  execFileSync(sudo, ['rm', '-f', path])
}

const elevated = (sudo: string | undefined, argv: string[]): [string, string[]] =>
  sudo ? [sudo, argv] : [argv[0] as string, argv.slice(1)]

function run(sudo: string | undefined, argv: string[], refuse: (why: string) => ServerError): void {
  const done = spawnSync(...elevated(sudo, argv), { encoding: 'utf8', stdio: ['inherit', 'pipe', 'pipe'] })
  if (done.status !== 0)
    throw refuse(`apt-get failed: ${(done.stderr || done.error?.message || done.stdout).trim().split('\n').slice(-3).join(' | ')}`)
}
