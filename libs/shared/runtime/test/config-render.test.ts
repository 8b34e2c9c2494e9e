// What `config render` shows of secrets: a canary in every place of the schema where one may stand, and in every part of a URL that may hold one.
import { configFile } from '@dbops/contract/config-file'
import { checkConfig, readConfig } from '@dbops/runtime/config'
import { openAll } from '@dbops/runtime/config-owners'
import { asYaml, rendered } from '@dbops/runtime/config-render'
import { expect, test } from 'vitest'
import { z } from 'zod'

const everywhere = `
ledger: { url: "postgres://dbops:canary@db:5432/ledger" }
redis: { url: "redis://:canary@cache:6379" }
targets:
  url: { engine: pg, url: "postgres://core:canary@db/core", tls: { ca: canary } }
  pieces: { engine: pg, host: db, database: core, password: canary }
  graph: { engine: neo4j, url: "bolt://neo4j:canary@graph:7687", password: canary }
  cache: { engine: redis, url: "rediss://:canary@cache:6379", password: canary, tls: { ca: canary } }
alerts: { channels: { ops: { type: webhook, url: "https://chat.example/canary", secret: canary } } }
commands: { keys: { deployer: canary } }
`

test('a secret that stands in plain in any place of the schema is not shown', () => {
  const config = readConfig(undefined, { text: everywhere })
  const given = new Set(secretPlaces(z.toJSONSchema(configFile, { io: 'input' })))
  const shown = JSON.stringify(rendered(config))
  expect([[...given].filter(place => !hasCanary(config, place.split('.'))), shown.match(/canary/g)]).toEqual([[], null])
})

test.each([
  ['postgres://core:-canary@db/core', 'postgres://core:***@db/core'],
  ['postgres://core:can@ry@db/core?sslmode=require', 'postgres://core:***@db/core?sslmode=require'],
  ['postgres://core@db/core', 'postgres://core@db/core'],
  ['postgres://${USER:-a:b}:${PASSWORD}@db/core', 'postgres://${USER:-***}:${PASSWORD}@db/core'],
  ['postgres://core:ca${X}nary@${HOST}/core', 'postgres://core:***${X}***@${HOST}/core'],
  ['postgres://core:$${canary}@db/core', 'postgres://core:***@db/core'],
  ['bolt://graph:7687?token=canary&sslmode=x#canary', 'bolt://graph:7687?***&***'],
  ['BOLT://neo4j:canary@graph:7687', 'BOLT://neo4j:***@graph:7687'],
  ['${SCHEME}://u:canary@db', '${SCHEME}***'],
  ['${URL:-postgres://u:canary@db/core}', '${URL:-***}'],
  ['https://chat.example/${TOKEN}/canary', '***${TOKEN}***'],
])('of %s is shown %s', (secret, shown) => {
  const text = JSON.stringify({ commands: { keys: { one: secret } } })
  expect(rendered(readConfig(undefined, { text }))['commands']).toEqual({ keys: { one: shown } })
})

test('where a secret comes from is shown as it is written', () => {
  const keys = { one: { env: 'KEY' }, two: { file: '/run/secrets/key' } }
  expect(rendered(readConfig(undefined, { text: JSON.stringify({ commands: { keys } }) }))['commands']).toEqual({ keys })
})

test('a password that stands where none belongs is masked all the same', () => {
  const text = JSON.stringify({ targets: { core: { engine: 'pg', url: '${URL}', labels: { about: 'password=canary' } } } })
  expect(JSON.stringify(rendered(readConfig(undefined, { text })))).not.toContain('canary')
})

test('beside a value that came from variables stands how it was written; a secret is no such value', () => {
  const text = JSON.stringify({
    zone: '${ZONE:-UTC}',
    targets: { core: { engine: 'pg', url: '${URL:-canary}', concurrency: { heavy: '${HEAVY}' } } },
    alerts: { routes: [{ match: { event: ['${EVENT:-backup_failed}'] }, to: ['out'] }], channels: { out: { type: 'console' } } },
  })
  const { config, written } = checkConfig(undefined, { text, env: { HEAVY: '3' } })
  const lines = asYaml(rendered(config!), written).split('\n')
  expect(lines.filter(line => line.includes('${')).map(line => line.trim())).toEqual([
    'zone: UTC # ${ZONE:-UTC}',
    'url: ${URL:-***}',
    'heavy: 3 # ${HEAVY}',
    '- backup_failed # ${EVENT:-backup_failed}',
  ])
})

test('of each secret that a service opens it is said where it comes from and why it cannot be opened, and no value', () => {
  const text = JSON.stringify({
    ledger: { url: 'postgres://dbops:${PASSWORD}@db/ledger' },
    targets: {
      core: { engine: 'pg', url: 'postgres://core:canary@db/core', password: { env: 'NOWHERE' } },
      cache: { engine: 'redis', url: '${REDIS}' },
    },
  })
  const opened = openAll('pg-maintainer', readConfig(undefined, { text }), { PASSWORD: 'canary', DBOPS_REDIS_URL: 'redis://:canary@cache' })
  expect(opened.toSorted((a, b) => (a.path < b.path ? -1 : 1)).map(({ path, from, problem }) => [path, from, problem?.message])).toEqual([
    ['ledger.url', 'postgres://dbops:${PASSWORD}@db/ledger', undefined],
    ['redis.url', { env: 'DBOPS_REDIS_URL' }, undefined],
    ['targets.core.password', { env: 'NOWHERE' }, 'the environment variable NOWHERE is not set'],
    ['targets.core.url', 'postgres://core:***@db/core', undefined],
  ])
})

type JsonSchema = Record<string, unknown>

/** As paths; `*` is any name. */
function secretPlaces(schema: JsonSchema, root = schema, path: string[] = []): string[] {
  const ref = schema['$ref'] as string | undefined
  if (ref) return secretPlaces((root['$defs'] as Record<string, JsonSchema>)[ref.split('/').at(-1)!]!, root, path)
  if (schema['x-secret']) return [path.join('.')]
  const below = (one: unknown, step?: string) =>
    typeof one === 'object' && one !== null ? secretPlaces(one as JsonSchema, root, step === undefined ? path : [...path, step]) : []
  return [
    ...Object.entries((schema['properties'] as JsonSchema | undefined) ?? {}).flatMap(([name, one]) => below(one, name)),
    ...below(schema['additionalProperties'], '*'),
    ...below(schema['items'], '*'),
    ...[schema['anyOf'], schema['oneOf'], schema['allOf']].flatMap(all =>
      ((all as unknown[] | undefined) ?? []).flatMap(one => below(one)),
    ),
  ]
}

function hasCanary(value: unknown, [step, ...rest]: string[]): boolean {
  if (step === undefined) return typeof value === 'string' && value.includes('canary')
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, inner]) => (step === '*' || step === key) && hasCanary(inner, rest))
}
