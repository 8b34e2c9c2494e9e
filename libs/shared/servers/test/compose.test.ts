// docker-compose.yml and deploy/Dockerfile, as far as they can be checked without an engine.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

interface ComposeService {
  image?: string
  build?: { context: string; dockerfile: string }
  command?: string[]
  profiles?: string[]
  ports?: unknown
  restart?: string
  healthcheck?: { test: string[] }
  depends_on?: Record<string, { condition: string }>
}

const root = join(import.meta.dirname, '../../../..')
const text = readFileSync(join(root, 'docker-compose.yml'), 'utf8')
const { services } = parse(text, { merge: true }) as { services: Record<string, ComposeService> }
const entries = Object.entries(services)

const hasCompose = spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0
test.runIf(hasCompose)('Compose itself takes the file, with every profile', () => {
  const { status, stderr } = spawnSync('docker', ['compose', '--profile', '*', 'config', '--quiet'], { cwd: root, encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, ''])
})

test('every app that runs as a service is there, started as everywhere else', () => {
  const apps = readdirSync(join(root, 'apps')).filter(app => app !== 'cli' && existsSync(join(root, 'apps', app, 'src/main.ts')))
  const commands = Object.fromEntries(apps.map(app => [app, services[app]?.command]))
  expect(commands).toEqual(
    Object.fromEntries(apps.map(app => [app, ['node', `apps/${app}/src/main.ts`, '--config', '/etc/dbops/axiom.yaml']])),
  )
})

test('whoever is waited for can become what is waited for', () => {
  const impossible = entries.flatMap(([name, service]) =>
    Object.entries(service.depends_on ?? {})
      .filter(([other, { condition }]) => !canBecome(condition, services[other]))
      .map(([other, { condition }]) => `${name} waits for ${other} to be ${condition}`),
  )
  expect(impossible).toEqual([])
})

test('whoever belongs to no profile waits for nobody in one', () => {
  const stranded = entries.flatMap(([name, service]) =>
    Object.keys(service.depends_on ?? {})
      .filter(other => services[other]?.profiles && !service.profiles)
      .map(other => `${name} waits for ${other}`),
  )
  expect(stranded).toEqual([])
})

test('the operations Redis evicts nothing and writes a log, the platform evicts', () => {
  const directives = (name: string) => services[name]?.command?.join(' ')
  expect([directives('redis'), directives('platform-redis')]).toEqual([
    expect.stringContaining('--maxmemory-policy noeviction --appendonly yes'),
    expect.stringContaining('--maxmemory-policy allkeys-lru'),
  ])
})

test('images have a version, what is built has its Dockerfile, and nothing is published', () => {
  const faults = entries.flatMap(([name, { image, build, ports }]) => [
    ...(build
      ? existsSync(join(root, build.dockerfile))
        ? []
        : [`${name}: no ${build.dockerfile}`]
      : /:.*\d/.test(image ?? '')
        ? []
        : [`${name}: ${image}`]),
    ...(ports ? [`${name} publishes`] : []),
  ])
  expect(faults).toEqual([])
})

test('the image has the Node of its base alone, a glibc, and a user who is not root', () => {
  const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8')
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(match => match[1])
  expect([new Set(bases), dockerfile.includes('rm -rf node_modules/node-linux-*'), /^USER (.+)$/m.exec(dockerfile)?.[1]]).toEqual([
    new Set(['node:24-bookworm-slim']),
    true,
    'node',
  ])
})

function canBecome(condition: string, service: ComposeService | undefined): boolean {
  if (condition === 'service_healthy') return Boolean(service?.healthcheck)
  // Who is restarted never completes.
  return condition === 'service_completed_successfully' && service !== undefined && !service.restart
}
