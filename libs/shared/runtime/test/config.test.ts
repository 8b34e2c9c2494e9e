// What a good configuration becomes: defaults, variables, aliases, the hash, and parameters with the entries they name.

import { readFileSync } from 'node:fs'
import { configFile } from '@dbops/contract/config-file'
import { instantOf } from '@dbops/contract/local-time'
import { expect, test } from 'vitest'
import { checkConfig, type ReadOptions, readConfig } from '../src/config.ts'
import { resolveParams, resolveTargets } from '../src/params.ts'
import { testCatalog } from './test-catalog.ts'

const file = `targets:
  core: { engine: pg, url: "\${CORE_URL}", labels: &labels { team: platform } }
  copy: { engine: pg, host: db, port: "\${PORT:-6543}", database: core, labels: *labels }
stores: { main: { url: "file://\${BACKUPS}" } }
dumps: { metadata: { target: core, data: [core.users], stores: [main] } }
schedules:
  nightly: { task: pg.vacuum, target: core, cron: "30 2 * * *", params: { tables: ["\${SCHEMA}.users"] } }
`

test('an empty file is valid and has every default', () => {
  expect(read('')).toMatchObject({ version: 1, zone: 'UTC', environment: 'dev', targets: {}, timers: { lease: '30s' }, file: 'axiom.yaml' })
})

test('no file is valid as an empty one is', () => {
  expect(readConfig(undefined).hash).toBe(read('').hash)
})

test('a section whose entries are all commented out is an empty one', () => {
  expect(read('targets:\n  # core: {}\nzone: UTC\n').targets).toEqual({})
})

test('variables of common values are filled in, numbers become numbers, secrets stay templates', () => {
  const { targets, stores, schedules } = read(file, { env: { BACKUPS: '/backups', SCHEMA: 'core' } })
  expect([targets.core?.url, targets.copy, stores.main?.url, schedules.nightly?.params]).toMatchObject([
    '${CORE_URL}',
    { port: 6543, labels: { team: 'platform' } },
    'file:///backups',
    { tables: ['core.users'] },
  ])
})

test('a variable cannot bring YAML into the file', () => {
  expect(read('environment: "${E}"', { env: { E: 'prod' } }).environment).toBe('prod')
  expect(checkConfig('axiom.yaml', { text: 'environment: "${E}"', env: { E: 'prod\nzone: UTC' } }).ok).toBe(false)
})

test('a variable that is set to nothing takes its default', () => {
  expect(read('zone: "${Z:-Asia/Seoul}"', { env: { Z: '' } }).zone).toBe('Asia/Seoul')
})

test('the hash is of the content, not of its order or comments', () => {
  expect(read('zone: UTC\nenvironment: prod # live\n').hash).toBe(read('environment: prod\nzone: UTC\n').hash)
})

test('the hash changes with the content', () => {
  expect(read('environment: prod').hash).not.toBe(read('environment: test').hash)
})

test('the line of a path, or of what encloses it, is known afterwards', () => {
  const { lineOf } = read(file, { env: { BACKUPS: '/b', SCHEMA: 'core' } })
  expect(['targets.copy.port', 'targets.core.password', 'schedules.nightly.params.tables[0]', 'alerts'].map(lineOf)).toEqual([3, 2, 7, 1])
})

test('parameters come back with the entry that they name and its target', () => {
  const config = read(file, { env: { BACKUPS: '/backups', SCHEMA: 'core' } })
  expect(resolveParams(task('pg.dump'), { dump: 'metadata' }, config)).toEqual({
    params: { dump: 'metadata' },
    entries: { dump: config.dumps.metadata },
    target: 'core',
    errors: [],
  })
})

test('parameters come back with their defaults', () => {
  expect(resolveParams(task('pg.vacuum'), { tables: ['core.users'] }, read('')).params).toEqual({ tables: ['core.users'], freeze: false })
})

test('a parameter that names no entry is an error with its path', () => {
  expect(resolveParams(task('pg.dump'), { dump: 'metdata' }, read(file, { env: { BACKUPS: '/b', SCHEMA: 'core' } })).errors).toEqual([
    { path: 'dump', message: '"metdata" is not in dumps', hint: 'did you mean "metadata"?' },
  ])
})

test('a name that every object has is no entry', () => {
  expect(resolveParams(task('pg.dump'), { dump: 'constructor' }, read('')).errors).toMatchObject([{ path: 'dump' }])
})

test('a run is for the target of its named entry', () => {
  const config = read(file, { env: { BACKUPS: '/b', SCHEMA: 'core' } })
  expect([resolveTargets(task('pg.dump'), [], 'core', config), resolveTargets(task('pg.dump'), ['copy'], 'core', config)]).toMatchObject([
    { targets: ['core'], errors: [] },
    { targets: [], errors: [{ message: '"copy" contradicts "core", the target of the named entry' }] },
  ])
})

test.each([
  ['2026-12-31T22:00', 'Asia/Seoul', '2026-12-31T13:00:00.000Z'],
  ['2026-12-31', 'Asia/Seoul', '2026-12-30T15:00:00.000Z'],
  ['2026-12-31T22:00+01:00', 'Asia/Seoul', '2026-12-31T21:00:00.000Z'],
  ['2026-02-30T22:00', 'UTC', undefined],
])('the instant of %s in %s is %s', (text, zone, instant) => {
  expect(instantOf(text, zone)?.toISOString()).toBe(instant)
})

test('the plan of the platform can be used with the tasks that are built', () => {
  const plan = new URL('../../../../config/axiom.yaml', import.meta.url).pathname
  expect(checkConfig(plan, { env: {} }).errors).toEqual([])
})

test('the examples of docs/config.md can be used together', () => {
  const [, sections = ''] = readFileSync(new URL('../../../../docs/config.md', import.meta.url), 'utf8').split('## The sections')
  const text = [...sections.matchAll(/```yaml\n([^`]*)```/g)].map(([, example]) => example).join('')
  expect(checkConfig('docs/config.md', { text, env: {}, catalog: testCatalog }).errors).toEqual([])
})

test('docs/config.md has an example of every section', () => {
  const examples = readFileSync(new URL('../../../../docs/config.md', import.meta.url), 'utf8')
  expect(Object.keys(configFile.shape).filter(section => !new RegExp(`^${section}:`, 'm').test(examples))).toEqual([])
})

const read = (text: string, options: ReadOptions = {}) => readConfig('axiom.yaml', { text, env: {}, catalog: testCatalog, ...options })

const task = (name: string) => testCatalog.tasks.find(known => known.name === name)!
