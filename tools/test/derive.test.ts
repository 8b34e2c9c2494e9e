// What is derived follows from the declarations and from nothing else: the tree is fresh, a new task appears everywhere, a bad one is refused by name.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Catalog } from '@dbops/catalog/catalog'
import { afterAll, describe, expect, test } from 'vitest'
import { type DeriveRefused, derive } from '../derive-run.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const roots: string[] = []
afterAll(() => roots.forEach(root => rmSync(root, { recursive: true })))

test('what is checked in follows from the declarations', async () => {
  expect(await derive({ check: true })).toEqual({ written: [], stale: [] })
})

describe('a task dropped into tasks/', () => {
  const root = copyOfRepository()
  const before = catalogOf(root)
  put(root, 'apps/pg-maintainer/src/tasks/count-rows.ts', countRows)

  test('is missed by --check, which writes nothing', async () => {
    const { written, stale } = await derive({ check: true, root })
    expect({ written, stale, catalog: catalogOf(root) }).toEqual({
      written: [],
      stale: [
        'libs/shared/catalog/catalog.json',
        'config/dbops.schema.json',
        'docs/reference/tasks.md',
        'docs/reference/events.md',
        'deploy/prometheus/rules.yml',
      ],
      catalog: before,
    })
  })

  test('appears in the catalogue, the schema and the docs, with no other edit', async () => {
    await derive({ root })
    const task = catalogOf(root).tasks.find(({ name }) => name === 'pg.count-rows')
    expect(task).toMatchObject({ engine: 'pg', lane: 'light', effect: 'write', plans: true, recovers: false })
    expect(catalogOf(root).tasks).toHaveLength(before.tasks.length + 1)
    const schedule = scheduleIn(root)
    expect(schedule.properties.task.enum).toContain('pg.count-rows')
    expect(schedule.allOf.find(({ if: { properties } }) => properties.task.const === 'pg.count-rows')?.then).toMatchObject({
      required: ['params'],
      properties: { params: { required: ['table'], additionalProperties: false, properties: { limit: { default: 1000 } } } },
    })
    expect(read(root, 'docs/reference/tasks.md')).toContain('| table | text | required | schema.table |')
    expect(await derive({ check: true, root })).toEqual({ written: [], stale: [] })
  })

  test('takes its traces with it when it goes', async () => {
    rmSync(join(root, 'apps/pg-maintainer/src/tasks/count-rows.ts'))
    await derive({ root })
    expect(catalogOf(root)).toEqual(before)
  })
})

test('a schema of an event that is no more is removed', async () => {
  const root = smallTree()
  put(root, 'libs/shared/catalog/events/old_news.v1.json', '{}')
  const { written } = await derive({ root })
  expect([
    written.includes('libs/shared/catalog/events/old_news.v1.json'),
    existsSync(join(root, 'libs/shared/catalog/events/old_news.v1.json')),
  ]).toEqual([true, false])
})

describe('refused, with the file and the mend:', () => {
  const file = 'apps/pg-maintainer/src/tasks/thing.ts'
  const cases: [what: string, text: string, found: RegExp, hint: RegExp][] = [
    ['another name than the path', thing({ name: `'pg.thang'` }), /calls itself "pg.thang"/, /write name: 'pg.thing'/],
    ['another engine than the app', thing({ name: `'neo4j.thing'` }), /calls itself "neo4j.thing"/, /write name: 'pg.thing'/],
    ['no default export', 'export const thing = 1', /no default export/, /export default defineTask/],
    ['a file that does not load', `import './nowhere.ts'\n${thing({})}`, /nowhere/, /load by itself/],
    ['a refinement', params(`z.string().refine(word => word !== 'x')`), /params: x is refined/, /with Refused/],
    [
      'a refinement deep inside',
      params(`z.array(z.strictObject({ y: z.string().refine(Boolean) })).min(1)`),
      /x\[\]\.y is refined/,
      /strictObject/,
    ],
    [
      'a refinement of the whole',
      thing({ params: 'z.strictObject({ x: z.int() }).refine(({ x }) => x > 1)' }),
      /params: the schema is refined/,
      /Refused/,
    ],
    ['a transform', params('z.string().transform(Number)'), /x is of the kind "pipe"/, /JSON Schema can say/],
    ['a trim', params('z.string().trim()'), /x has the check "overwrite"/, /JSON Schema can say/],
    ['a date', params('z.date()'), /x is of the kind "date"/, /iso.datetime/],
    ['a coercion', params('z.coerce.number()'), /x is coerced/, /JSON Schema can say/],
    ['a prefault', params('z.strictObject({ y: z.int().default(1) }).prefault({})'), /x is of the kind "prefault"/, /default/],
    ['a pattern with flags', params('z.string().regex(/^a$/i)'), /x has a pattern with flags/, /regex/],
    ['a default that moves', params('z.string().default(() => String(Math.random()))'), /default that is another one/, /default/],
    ['what is lost on the way back', params(`z.string().startsWith('a').endsWith('b')`), /x comes back from JSON Schema/, /regex/],
    ['open parameters', thing({ params: 'z.object({ x: z.string() })' }), /params accepts unknown keys/, /z.strictObject/],
    ['an open result', thing({ result: 'z.object({})' }), /result accepts unknown keys/, /z.strictObject/],
    ['a date in the state', thing({ state: 'z.strictObject({ at: z.date() })' }), /state: at is of the kind "date"/, /iso.datetime/],
    [
      'a lock of an unknown parameter',
      thing({ locks: `{ exclusive: ['table:{tabel}'] }` }),
      /names the parameter "tabel"/,
      /did you mean "table"/,
    ],
    [
      'a lock of a parameter that may be left out',
      thing({ locks: `{ shared: ['{table}'] }`, params: 'z.strictObject({ table: z.string().optional() })' }),
      /"table", which may be left out/,
      /default/,
    ],
    ['an unknown signal', thing({ emits: `{ failed: 'vacuum_faild' }` }), /emits "vacuum_faild"/, /did you mean "vacuum_failed"/],
    ['a duration without unit', thing({ timeout: `'30'` }), /timeout "30" is no duration/, /30s/],
    ['a deadline before the timeout', thing({ timeout: `'2h'` }), /timeout of 2h and a deadline of 1h/, /raise the deadline/],
    ['an approval without a plan', thing({ approval: `'always'` }), /wants an approval, and it has no plan/, /it is what is approved/],
    ['an effect without proof', thing({ effect: `'write'` }), /has the effect "write" and no prove/, /load by itself/],
  ]

  test.each(cases)('%s', async (_, text, found, hint) => {
    const root = smallTree()
    put(root, file, text)
    const [refusal, ...others] = await refusalsOf(root)
    expect({ ...refusal, others }).toEqual({ file, found: expect.stringMatching(found), hint: expect.stringMatching(hint), others: [] })
  })

  test('two tasks of one name', async () => {
    const root = smallTree()
    put(root, file, thing({}))
    put(root, 'apps/pg-maintainer/src/tasks/thing-again.ts', thing({}))
    expect((await refusalsOf(root)).map(({ file, found }) => `${basename(file)} ${found}`)).toContain(
      'thing.ts "pg.thing" is declared in apps/pg-maintainer/src/tasks/thing-again.ts already',
    )
  })

  test('a task in an app that owns none', async () => {
    const root = smallTree()
    put(root, 'apps/alert-relay/src/tasks/thing.ts', thing({}))
    expect((await refusalsOf(root))[0]).toMatchObject({
      found: 'alert-relay is no owner of tasks',
      hint: expect.stringContaining('pg-maintainer') as string,
    })
  })

  test('a channel that nobody can configure', async () => {
    const root = smallTree()
    put(root, 'apps/alert-relay/src/channels/pigeon.ts', '')
    expect((await refusalsOf(root))[0]).toMatchObject({
      file: 'apps/alert-relay/src/channels/pigeon.ts',
      found: expect.stringContaining('type "pigeon"') as string,
    })
  })

  test('a channel that can be configured and is not there', async () => {
    const root = smallTree()
    rmSync(join(root, 'apps/alert-relay/src/channels/webhook.ts'))
    expect((await refusalsOf(root))[0]).toMatchObject({
      found: expect.stringContaining('type "webhook", which the relay has not') as string,
    })
  })

  test('a probe that looks too often', async () => {
    const root = smallTree()
    put(
      root,
      'apps/redis-inspector/src/probes/health.ts',
      `import { probeOf } from '@dbops/contract/task'
      import { z } from 'zod'
      export default probeOf()({ name: 'redis.health', summary: 's', every: '1s', result: z.strictObject({}),
        emits: { failed: 'redis_connection_failed', recovered: 'redis_connection_recovered' }, look: async () => ({}) })`,
    )
    expect((await refusalsOf(root))[0]).toMatchObject({ found: 'redis.health looks every 1s', hint: 'write 10s to 300s (5m)' })
  })

  test('nothing is written when one of many is wrong', async () => {
    const root = smallTree()
    put(root, 'apps/pg-maintainer/src/tasks/count-rows.ts', countRows)
    put(root, file, thing({ timeout: `'30'` }))
    await refusalsOf(root)
    expect(existsSync(join(root, 'libs'))).toBe(false)
  })

  test('formats, defaults, unions, lists and references are sayable', async () => {
    const root = smallTree()
    const sayable = `z.strictObject({
      table: z.string().default('a.b'), at: z.iso.datetime().nullable(), id: z.uuid().optional(), day: z.iso.date(), mail: z.email(), where: z.url(),
      n: z.int().min(1).max(9).default(3), share: z.number().gt(0).lte(1), words: z.array(z.enum(['a', 'b'])).min(1).max(5), pair: z.tuple([z.string(), z.int()]),
      either: z.union([z.string(), z.strictObject({ env: z.string() })]), by: z.record(z.string().regex(/^[a-z]+$/), z.int()), more: z.record(z.string(), z.unknown()),
      kind: z.discriminatedUnion('is', [z.strictObject({ is: z.literal('x') }), z.strictObject({ is: z.literal('y'), z: z.boolean().default(false) })]),
      dump: ref('dumps'), wait: duration.default('5m').describe('how long'),
    })`
    put(root, file, thing({ params: sayable }))
    await derive({ root })
    expect(catalogOf(root).tasks[0]!.params.properties).toMatchObject({
      dump: { 'x-ref': 'dumps' },
      wait: { default: '5m', description: 'how long' },
    })
  })
})

/** The source of a task in thing.ts, with some of its words replaced (each a piece of TypeScript). */
function thing(words: Record<string, string>): string {
  const whole = {
    name: `'pg.thing'`,
    summary: `'Do a thing'`,
    params: `z.strictObject({ table: z.string() })`,
    result: 'z.strictObject({})',
    lane: `'light'`,
    run: 'async () => ({})',
    ...words,
  }
  return `import { duration } from '@dbops/contract/duration'
import { ref, taskOf } from '@dbops/contract/task'
import { z } from 'zod'
void [duration, ref]
export default taskOf()({ ${Object.entries(whole)
    .map(([word, text]) => `${word}: ${text}`)
    .join(', ')} })
`
}

function params(x: string) {
  return thing({ params: `z.strictObject({ x: ${x} })` })
}

const countRows = `// Counts the rows of a table into a tally, and looks whether the tally stands.
import { taskOf } from '@dbops/contract/task'
import { z } from 'zod'

interface Verbs {
  pg: { query(sql: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }> }
}
const countOf = \`select count(*)::int as rows from (select from $1::regclass limit $2) some\`
const tallyOf = \`select rows from tally where name = $1\`

export default taskOf<Verbs>()({
  name: 'pg.count-rows',
  summary: 'Count the rows of a table',
  params: z.strictObject({
    table: z.string().regex(/^[^.\\\\s]+\\\\.[^.\\\\s]+$/).describe('schema.table'),
    limit: z.int().min(1).default(1000).describe('rows to count at most'),
  }),
  result: z.strictObject({ rows: z.int() }),
  lane: 'light',
  locks: { exclusive: ['count:{table}'] },
  effect: 'write',
  timeout: '5m',

  async plan(c) {
    return { table: c.params.table, limit: c.params.limit }
  },

  async run(c) {
    await c.guard()
    const { rows } = await c.pg.query(countOf, [c.params.table, c.params.limit])
    return { rows: Number(rows[0]?.rows) }
  },

  async prove(c, facts) {
    const { rows } = await c.pg.query(tallyOf, [c.params.table])
    return { ok: rows[0]?.rows === facts.rows, reason: 'the tally stands', evidence: { tally: rows[0]?.rows } }
  },
})
`

function smallTree() {
  const root = mkdtempSync(join(tmpdir(), 'derive-'))
  roots.push(root)
  for (const channel of ['console', 'webhook']) put(root, `apps/alert-relay/src/channels/${channel}.ts`, '')
  symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'))
  return root
}

function copyOfRepository() {
  const root = smallTree()
  const kept = (path: string) => !['node_modules', 'test'].includes(basename(path))
  for (const folder of ['apps', 'config', 'deploy', 'docs/reference', 'libs/shared/catalog', 'libs/shared/runtime'])
    cpSync(join(repository, folder), join(root, folder), { recursive: true, filter: kept })
  return root
}

function put(root: string, file: string, text: string) {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), text)
}
function read(root: string, file: string) {
  return readFileSync(join(root, file), 'utf8')
}
function catalogOf(root: string) {
  return JSON.parse(read(root, 'libs/shared/catalog/catalog.json')) as Catalog
}
function scheduleIn(root: string) {
  const schema = JSON.parse(read(root, 'config/dbops.schema.json')) as {
    properties: {
      schedules: {
        additionalProperties: {
          properties: { task: { enum: string[] } }
          allOf: { if: { properties: { task: { const: string } } }; then: unknown }[]
        }
      }
    }
  }
  return schema.properties.schedules.additionalProperties
}
const refusalsOf = async (root: string) =>
  derive({ root }).then(
    () => [],
    (error: DeriveRefused) => error.refusals,
  )
