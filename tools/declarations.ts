// Finds what the apps declare, by folder alone: a file in tasks/ is a task, one in probes/ a probe, one in the relay's channels/ a channel.
import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { channelRefusals, probeRefusals, type Refusal, tableRefusals, taskRefusals } from '@dbops/catalog/refusals'
import type { Probe, Task } from '@dbops/contract/task'
import { z } from 'zod'

/** Whose tasks and probes begin with which word. */
const engineOf: Record<string, string> = {
  'pg-maintainer': 'pg',
  'neo4j-maintainer': 'neo4j',
  'redis-inspector': 'redis',
  scheduler: 'ops',
}

export interface Declarations {
  tasks: Task[]
  probes: Probe[]
  channels: string[]
  refusals: Refusal[]
}

/** Imports every declaration under `root` (which starts nothing) and checks it; sorted by name. */
export async function readDeclarations(root: string): Promise<Declarations> {
  const tasks = await readFolder(root, 'tasks', isTask, taskRefusals)
  const probes = await readFolder(root, 'probes', isProbe, probeRefusals)
  const channels = filesIn(root, 'apps/alert-relay/src/channels').map(file => basename(file, '.ts'))
  const table = tableRefusals().map(complaint => ({ file: 'libs/shared/contract/src/signals.ts', ...complaint }))
  return {
    tasks: tasks.found,
    probes: probes.found,
    channels,
    refusals: [...table, ...channelRefusals(channels), ...tasks.refusals, ...probes.refusals],
  }
}

async function readFolder<T extends { name: string }>(
  root: string,
  kind: 'tasks' | 'probes',
  is: (value: unknown) => value is T,
  check: (declared: T, expected: string) => Omit<Refusal, 'file'>[],
) {
  const found: { file: string; declared: T }[] = []
  const refusals: Refusal[] = []
  for (const app of readdirSync(join(root, 'apps')).toSorted())
    for (const file of filesIn(root, `apps/${app}/src/${kind}`)) {
      const engine = engineOf[app]
      if (!engine) {
        refusals.push({ file, found: `${app} is no owner of ${kind}`, hint: `move it to one of ${Object.keys(engineOf).join(', ')}` })
        continue
      }
      const declared = await defaultExport(join(root, file))
      if (declared.error)
        refusals.push({ file, found: declared.error, hint: 'a declaration is imported to be read: it must load by itself' })
      else if (!is(declared.value))
        refusals.push({
          file,
          found: `has no default export that is one of the ${kind}`,
          hint: `write export default define${kind === 'tasks' ? 'Task' : 'Probe'}({ … })`,
        })
      else {
        found.push({ file, declared: declared.value })
        refusals.push(...check(declared.value, `${engine}.${basename(file, '.ts')}`).map(complaint => ({ file, ...complaint })))
      }
    }
  for (const [index, { file, declared }] of found.entries()) {
    const first = found.slice(0, index).find(other => other.declared.name === declared.name)
    if (first) refusals.push({ file, found: `"${declared.name}" is declared in ${first.file} already`, hint: 'rename one of the two' })
  }
  return { found: found.map(({ declared }) => declared).toSorted((a, b) => (a.name < b.name ? -1 : 1)), refusals }
}

async function defaultExport(path: string): Promise<{ value?: unknown; error?: string }> {
  try {
    return { value: ((await import(pathToFileURL(path).href)) as { default?: unknown }).default }
  } catch (error) {
    return { error: (error as Error).message }
  }
}

/** The paths of the TypeScript files of a folder, relative to `root`, sorted; none when there is no such folder. */
const filesIn = (root: string, folder: string) =>
  existsSync(join(root, folder))
    ? readdirSync(join(root, folder))
        .filter(name => name.endsWith('.ts'))
        .toSorted()
        .map(name => `${folder}/${name}`)
    : []

const isTask = (value: unknown): value is Task =>
  hasWords(value, ['name', 'summary', 'timeout']) && isObject((value as Task).params) && isObject((value as Task).result)
const isProbe = (value: unknown): value is Probe => hasWords(value, ['name', 'summary', 'every']) && isObject((value as Probe).result)
const isObject = (value: unknown) => value instanceof z.ZodObject
const hasWords = (value: unknown, words: string[]) =>
  typeof value === 'object' && value !== null && words.every(word => typeof (value as Record<string, unknown>)[word] === 'string')
