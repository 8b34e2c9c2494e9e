// The boundary check is seen to fail: a small tree that keeps every rule, then the same tree with one forbidden thing planted for each rule.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkBoundaries, type Violation } from '../boundary-check.ts'
import { boundaryRules } from '../boundary-rules.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))

/** What must be red, each in a file of its own: the rule, the file and what stands in it. */
const plants: [rule: string, file: string, text: string][] = [
  ['apps-stand-apart', 'apps/scheduler/src/reaches-over.ts', `import '@dbops/alert-relay/clean'`],
  ['contract-is-light', 'libs/shared/contract/src/reads-files.ts', `import 'node:fs'`],
  ['contract-is-light', 'libs/shared/contract/src/reaches-up.ts', `import '@dbops/ledger/clean'`],
  ['catalog-on-contract', 'libs/shared/catalog/src/reaches-up.ts', `import '@dbops/runtime/clean'`],
  ['stores-on-contract', 'libs/shared/ledger/src/reaches-up.ts', `import '@dbops/runtime/clean'`],
  ['stores-on-contract', 'libs/shared/artifacts/src/reaches-aside.ts', `import '@dbops/ledger/clean'`],
  ['runtime-downwards', 'libs/shared/runtime/src/starts-servers.ts', `import '@dbops/servers/clean'`],
  ['servers-and-sample-stand-alone', 'libs/shared/servers/src/leans.ts', `import '@dbops/contract/clean'`],
  ['servers-and-sample-stand-alone', 'libs/shared/sample/src/leans.ts', `import '@dbops/servers/clean'`],
  ['testing-in-tests', 'apps/alert-relay/src/breaks-things.ts', `import '@dbops/testing/clean'`],
  ['sample-in-up', 'apps/pg-maintainer/src/knows-the-sample.ts', `import '@dbops/sample/clean'`],
  ['servers-in-up-and-restores', 'apps/alert-relay/src/starts-servers.ts', `import '@dbops/servers/clean'`],
  ['tools-stay-tools', 'apps/scheduler/src/derives.ts', `import '../../../tools/clean.ts'`],
  ['pg-in-its-hands', 'apps/cli/src/queries.ts', `import 'pg'`],
  ['pg-in-its-hands', 'apps/scheduler/src/queries.ts', `import type { Pool } from 'pg'\nexport type Mine = Pool`],
  ['neo4j-in-its-hands', 'apps/cli/src/traverses.ts', `import 'neo4j-driver'`],
  ['redis-in-its-hands', 'apps/cli/src/pings.ts', `import 'ioredis'`],
  ['bullmq-in-its-hands', 'apps/cli/src/enqueues.ts', `import 'bullmq'`],
  ['no-cycles', 'apps/cli/src/egg.ts', `import './hen.ts'`],
  ['no-orphans', 'apps/cli/src/forgotten.ts', 'export const forgotten = 1'],
  ['resolvable', 'apps/cli/src/lost.ts', `import './nowhere.ts'`],
  ['declared', 'apps/cli/src/borrows.ts', `import 'yaml'`],
  ['no-shelves', 'apps/cli/src/index.ts', `import '@dbops/contract/clean'`],
  ['no-shelves', 'apps/cli/src/utils/dates.ts', `import '@dbops/contract/clean'`],
  [
    'cli-without-sql',
    'apps/cli/src/statement.ts',
    `import '@dbops/contract/clean'\nexport const runs = \`select id from \${'runs'} where state = 1\``,
  ],
]

describe('the boundaries', () => {
  const clean = tree()
  const planted = tree()
  let red: Violation[]
  beforeAll(async () => {
    for (const [, file, text] of plants) put(planted, file, `${text}\n`)
    put(planted, 'apps/cli/src/hen.ts', `import './egg.ts'\n`)
    red = (await checkBoundaries(planted)).violations
  })
  afterAll(() => [clean, planted].forEach(root => rmSync(root, { recursive: true })))

  test('this repository keeps them, and every file of it was looked at', async () => {
    const { modules, violations } = await checkBoundaries()
    expect(violations).toEqual([])
    expect(modules).toBeGreaterThan(50)
  })

  test('a tree that keeps them is green', async () => {
    expect(await checkBoundaries(clean)).toEqual({ modules: 15, violations: [] })
  })

  test.each(plants)('%s is red for %s', (rule, file) => {
    expect(red.map(seen => [seen.rule, seen.file.replace(/:\d+$/, '')])).toContainEqual([rule, file])
  })

  test('nothing is red but what was planted', () => {
    expect(red.map(seen => `${seen.rule} ${seen.file.replace(/:\d+$/, '')}`).toSorted()).toEqual(
      plants.map(([rule, file]) => `${rule} ${file}`).toSorted(),
    )
  })

  test('every rule has a plant', () => {
    const tried = new Set(plants.map(([rule]) => rule))
    expect(boundaryRules.filter(rule => !tried.has(rule.name))).toEqual([])
  })

  test('a tree without files is an error, not a success', async () => {
    await expect(checkBoundaries(mkdtempSync(join(tmpdir(), 'boundaries-')))).rejects.toThrow('looked at 0 of 0 files')
  })
})

/** A repository in small: every package with one file that imports what it may. */
function tree() {
  const root = mkdtempSync(join(tmpdir(), 'boundaries-'))
  const may: Record<string, string[]> = {
    'libs/shared/contract': ['zod'],
    'libs/shared/catalog': ['@dbops/contract/clean'],
    'libs/shared/ledger': ['@dbops/contract/clean', 'pg'],
    'libs/shared/artifacts': ['@dbops/contract/clean', 'node:fs'],
    'libs/shared/runtime': ['@dbops/ledger/clean', '@dbops/artifacts/clean', '@dbops/catalog/clean', 'ioredis', 'bullmq'],
    'libs/shared/servers': ['pg', 'neo4j-driver'],
    'libs/shared/sample': ['pg', 'ioredis'],
    'libs/shared/testing': ['@dbops/runtime/clean', '@dbops/servers/clean', 'vitest'],
    'apps/scheduler': ['@dbops/runtime/clean', '@dbops/catalog/clean'],
    'apps/pg-maintainer': ['@dbops/runtime/clean', '@dbops/servers/clean', 'pg'],
    'apps/neo4j-maintainer': ['@dbops/runtime/clean', 'neo4j-driver'],
    'apps/redis-inspector': ['@dbops/runtime/clean', 'ioredis'],
    'apps/alert-relay': ['@dbops/runtime/clean', '@dbops/ledger/clean'],
    'apps/cli': ['@dbops/servers/clean', '@dbops/sample/clean', '@dbops/testing/clean', '../../../tools/clean.ts'],
  }
  const drivers = ['pg', 'ioredis', 'bullmq', 'neo4j-driver', 'zod', 'croner']
  for (const [folder, imports] of Object.entries(may)) {
    const name = `@dbops/${folder.split('/').at(-1)}`
    put(root, `${folder}/src/clean.ts`, `${imports.map(thing => `import '${thing}'`).join('\n')}\n`)
    put(
      root,
      `${folder}/package.json`,
      JSON.stringify({ name, type: 'module', exports: { './*': './src/*.ts' }, dependencies: versions(drivers) }),
    )
    link(join(root, folder), join(root, 'node_modules', name))
  }
  put(root, 'tools/clean.ts', `import '@dbops/contract/clean'\n`)
  put(root, 'package.json', JSON.stringify({ name: 'small', type: 'module' }))
  for (const name of [...drivers, 'yaml', 'vitest']) link(join(repository, 'node_modules', name), join(root, 'node_modules', name))
  return root
}

const versions = (names: string[]) => Object.fromEntries(names.map(name => [name, '*']))

function put(root: string, file: string, text: string) {
  mkdirSync(dirname(join(root, file)), { recursive: true })
  writeFileSync(join(root, file), text)
}

function link(to: string, from: string) {
  mkdirSync(dirname(from), { recursive: true })
  symlinkSync(to, from)
}
