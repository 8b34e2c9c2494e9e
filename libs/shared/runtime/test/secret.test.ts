// Secrets open lazily, by their owner alone, and never stand in a message or a log.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'
import { resolveFor } from '../src/config-owners.ts'
import { serviceUrl, targetUrl } from '../src/connection.ts'
import { redact } from '../src/redact.ts'
import { openSecret } from '../src/secret.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dbops-secret-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('text, a variable and a file open to what they hold', () => {
  const file = join(folder, 'password')
  writeFileSync(file, 'from a file\n')
  const env = { USER: 'me', PASSWORD: 'pa:ss', FOLDER: folder }
  const secrets = ['${USER}:${PASSWORD}@${HOST:-db}', '$${USER}', { env: 'PASSWORD' }, { file }, { file: '${FOLDER}/password' }]
  expect(secrets.map(secret => openSecret(secret, 'x', env))).toEqual(['me:pa:ss@db', '${USER}', 'pa:ss', 'from a file', 'from a file'])
})

test.each([
  ['a variable that is not set', '${NOT_SET}', 'missing_variable', 'targets.core.url: the environment variable NOT_SET is not set'],
  ['a variable that is empty', { env: 'EMPTY' }, 'missing_variable', 'targets.core.url: the environment variable EMPTY is not set'],
  [
    'a file that is not there',
    { file: '/nowhere/core' },
    'missing_secret_file',
    'targets.core.url: the secret file /nowhere/core does not exist',
  ],
  ['a folder', { file: '/' }, 'missing_secret_file', 'targets.core.url: the secret file / cannot be read (EISDIR)'],
])('%s is told with the path', (_, secret, code, message) => {
  expect(thrown(() => openSecret(secret, 'targets.core.url', { EMPTY: '' }))).toMatchObject({ code, message })
})

const file = `ledger: { url: "\${LEDGER}" }
redis: { url: "\${REDIS}" }
targets:
  core: { engine: pg, url: "\${CORE}" }
  graph: { engine: neo4j, url: "\${GRAPH}", user: neo4j, password: { env: GRAPH_PASSWORD } }
  cache: { engine: redis, url: "\${CACHE}", password: { file: /nowhere/cache } }
alerts:
  channels:
    ops: { type: webhook, url: "\${HOOK}", secret: "\${HOOK_SECRET}" }
`
const ours = { LEDGER: 'postgres://dbops@ledger/dbops', REDIS: 'redis://ops:6379' }

test('the file is good without any secret', () => {
  expect(readConfig('axiom.yaml', { text: file, env: {} }).targets.core).toMatchObject({ url: '${CORE}' })
})

describe('config check --resolve', () => {
  test.each([
    ['scheduler', []],
    ['cli', []],
    ['pg-maintainer', ['4 targets.core.url: the environment variable CORE is not set']],
    [
      'neo4j-maintainer',
      [
        '5 targets.graph.url: the environment variable GRAPH is not set',
        '5 targets.graph.password: the environment variable GRAPH_PASSWORD is not set',
      ],
    ],
    [
      'redis-inspector',
      [
        '6 targets.cache.url: the environment variable CACHE is not set',
        '6 targets.cache.password: the secret file /nowhere/cache does not exist',
      ],
    ],
    [
      'alert-relay',
      [
        '9 alerts.channels.ops.url: the environment variable HOOK is not set',
        '9 alerts.channels.ops.secret: the environment variable HOOK_SECRET is not set',
      ],
    ],
  ] as const)('%s misses only what it owns', (app, missing) => {
    const errors = resolveFor(app, readConfig('axiom.yaml', { text: file, env: {} }), ours)
    expect(errors.map(({ line, path, message }) => `${line} ${path}: ${message}`)).toEqual(missing)
  })

  test('a service without a ledger is told where to write it', () => {
    expect(resolveFor('cli', readConfig(undefined), {})).toEqual([
      { file: '(defaults)', line: 1, path: 'ledger.url', message: 'is missing', hint: 'write ledger: { url: "${DBOPS_LEDGER_URL}" }' },
    ])
  })

  test('a malformed URL is told without a word of it', () => {
    const errors = resolveFor('pg-maintainer', readConfig('axiom.yaml', { text: file, env: {} }), {
      ...ours,
      CORE: 'postgres://me:ge#heim@db/core',
    })
    expect(errors).toEqual([
      {
        file: 'axiom.yaml',
        line: 4,
        path: 'targets.core.url',
        message: 'is a malformed URL of PostgreSQL',
        hint: expect.stringContaining('%XX'),
      },
    ])
  })
})

describe('connections', () => {
  test.each([
    [
      'postgres://me:p%40ss@db.example:6432/core?sslmode=require',
      { host: 'db.example', port: 6432, database: 'core', user: 'me', password: 'p@ss', tls: { mode: 'require' } },
    ],
    ['postgresql://me@[::1]/core', { host: '::1', port: 5432, database: 'core', user: 'me' }],
    ['postgres:///core?host=/run/postgresql', { host: '/run/postgresql', port: 5432, database: 'core' }],
  ])('the pieces of %s', (url, pieces) => {
    expect(targetUrl('core', pg(`url: "${url}"`), {})).toEqual({ engine: 'pg', ...pieces })
  })

  test('pieces of the file are taken as they stand', () => {
    const target = pg('host: db, database: core, user: me, password: { env: P }, tls: { mode: require }')
    expect(targetUrl('core', target, { P: 'geheim' })).toEqual({
      engine: 'pg',
      host: 'db',
      port: 5432,
      database: 'core',
      user: 'me',
      password: 'geheim',
      tls: { mode: 'require' },
    })
  })

  test('a URL of another engine is told when it opens', () => {
    expect(thrown(() => targetUrl('core', pg('url: "${CORE}"'), { CORE: 'mysql://me:geheim@db/core' }))).toMatchObject({
      code: 'bad_url',
      message: 'targets.core.url: begins with mysql://, expected PostgreSQL: postgres:// or postgresql://',
    })
  })

  test('Neo4j and Redis keep their URL', () => {
    const { targets } = readConfig('axiom.yaml', { text: file, env: {} })
    expect(targetUrl('graph', targets.graph!, { GRAPH: 'bolt://g:7687', GRAPH_PASSWORD: 'geheim' })).toEqual({
      engine: 'neo4j',
      url: 'bolt://g:7687',
      user: 'neo4j',
      password: 'geheim',
    })
  })

  test('a service without a URL has none', () => {
    expect(serviceUrl(readConfig(undefined), 'ledger', {})).toBeUndefined()
  })
})

describe('redact', () => {
  test.each([
    ['connect postgres://me:geheim@db:5432/core failed', 'connect postgres://me:***@db:5432/core failed'],
    ['redis://:geheim@cache:6379', 'redis://:***@cache:6379'],
    ['postgres://me:ge@heim@db/core', 'postgres://me:***@db/core'],
    ["host=db password='ge heim' user=me", 'host=db password=*** user=me'],
    ['{"password":"geheim","user":"me"}', '{"password":***,"user":"me"}'],
    ["ALTER ROLE me PASSWORD 'geheim'", 'ALTER ROLE me PASSWORD ***'],
    ['redis://cache:6379 and a@b.example', 'redis://cache:6379 and a@b.example'],
    ['targets.core.password: the environment variable P is not set', 'targets.core.password: the environment variable P is not set'],
  ])('%s', (text, clean) => {
    expect(redact(text)).toBe(clean)
  })

  test('an opened secret is known from then on', () => {
    openSecret({ env: 'TOKEN' }, 'alerts.channels.ops.secret', { TOKEN: 'tok-71c2' })
    expect(redact('sent tok-71c2')).toBe('sent ***')
  })

  test('of an opened URL the password is secret, plain and encoded, and the host is not', () => {
    openSecret('postgres://me:s%40fe-word@db-17/core', 'targets.core.url', {})
    expect(redact('db-17 refused s@fe-word or s%40fe-word')).toBe('db-17 refused *** or ***')
  })

  test.each(['a', 'a.', 'password ', 'x://a:b'])('a megabyte of %j is looked through in no time', piece => {
    const began = performance.now()
    redact(piece.repeat(1_000_000 / piece.length))
    expect(performance.now() - began).toBeLessThan(2_000)
  })

  test('a short secret is left alone unless it stands where passwords stand', () => {
    expect(redact('abc password=abc', ['abc'])).toBe('abc password=***')
  })
})

function pg(keys: string) {
  const { core } = readConfig('axiom.yaml', { text: `targets: { core: { engine: pg, ${keys} } }`, env: {} }).targets
  if (core?.engine !== 'pg') throw new Error('no pg target')
  return core
}

function thrown(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
