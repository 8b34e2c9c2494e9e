// The rules with Prometheus' own tools: they load, fire when they should, speak of metrics that there are, and so do the platform's own; one real Prometheus scrapes the real services.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { listServices } from '@dbops/ledger/services'
import { findOrInstall } from '@dbops/servers/install'
import { freshDatabase } from '@dbops/testing/database'
import { startLine } from '@dbops/testing/line'
import { missing } from '@dbops/testing/missing'
import { startPrometheus } from '@dbops/testing/prometheus'
import { until } from '@dbops/testing/until'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const rules = join(root, 'deploy/prometheus/rules.yml')
const platformRules = join(import.meta.dirname, 'platform-rules/axiom-db-alerts.yml')
const why = await missing('promtool')
const promtool = why ? '' : await findOrInstall('promtool')
const withPrometheus = test.skipIf(why)

withPrometheus.each([
  ['ours', rules],
  ["the platform's own", platformRules],
])('%s load, and each fires when it should', (_, file) => {
  expect(run(['check', 'rules', file])).toMatch(/SUCCESS/)
  expect(run(['test', 'rules', file.replace('.yml', '.test.yml')])).toMatch(/SUCCESS/)
})

withPrometheus('a test that expects what a rule does not do fails', () => {
  expect(() => run(['test', 'rules', join(import.meta.dirname, 'platform-rules/wrong.test.yml')])).toThrow(/HighDeadTuples/)
})

test('every metric in a rule is one that the services show', () => {
  const page = readFileSync(join(root, 'docs/reference/metrics.md'), 'utf8')
  const shown = new Set([...page.matchAll(/`((?:dbops|axiom|core|pg|neo4j)_\w+)/g)].map(([, name]) => name))
  const meant = [rules, platformRules].flatMap(file => metricsIn(readFileSync(file, 'utf8')))
  expect([meant.length > 10, meant.filter(name => !shown.has(name))]).toEqual([true, []])
})

test('every runbook is a page', () => {
  const pages = [...readFileSync(rules, 'utf8').matchAll(/runbook: (.*)/g)].map(([, page]) => page!)
  expect([...new Set(pages)].filter(page => !existsSync(join(root, page)))).toEqual([])
})

withPrometheus('a real Prometheus scrapes the services and evaluates both files without an error', async () => {
  const database = await freshDatabase()
  const line = await startLine(`
targets: { core: { engine: pg, url: "${database.url}" } }
schedules: { vacuum: { task: pg.vacuum, target: core, cron: "0 3 * * *" } }
`)
  await Promise.all(['apps/scheduler/src/main.ts', 'apps/pg-maintainer/src/main.ts'].map(main => line.start(main)))
  const pages = (await listServices(line.ledger, 60_000)).map(({ address }) => address!)
  const prometheus = await startPrometheus({ pages, ruleFiles: [rules, platformRules] })
  const ask = async <T>(path: string) => ((await (await fetch(`${prometheus.url}/api/v1/${path}`)).json()) as { data: T }).data
  const value = async (query: string) =>
    (await ask<{ result: { value: [number, string] }[] }>(`query?query=${encodeURIComponent(query)}`)).result.map(one => one.value[1])
  try {
    const seen = await until(
      'both services are scraped',
      async () => {
        const found = await Promise.all(
          ['sum(up) == 2', 'dbops_target_up{target="core"}', 'count(dbops_schedule_max_age_seconds{task="pg.vacuum"})'].map(value),
        )
        return found.every(({ length }) => length) && found
      },
      { within: 30_000 },
    )
    const { groups } = await ask<{ groups: { rules: { health: string; lastError?: string }[] }[] }>('rules')
    const faulty = groups.flatMap(group => group.rules).filter(({ health }) => health !== 'ok' && health !== 'unknown')
    expect([seen, groups.length > 4, faulty]).toEqual([[['2'], ['1'], ['1']], true, []])
  } finally {
    await prometheus.stop()
    await line.close()
    await database.drop()
  }
})

const run = (args: string[]) => {
  try {
    return execFileSync(promtool, args, { encoding: 'utf8', stdio: 'pipe' })
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${stdout}${stderr}`, { cause: error })
  }
}

/** The names in the expressions of a file of rules. */
const metricsIn = (text: string) => [
  ...new Set(
    [...text.matchAll(/expr: \|\n((?: {10}.*\n)+)/g)].flatMap(([, expr]) => expr!.match(/\b(?:dbops|axiom|core|pg|neo4j)_\w+/g) ?? []),
  ),
]
