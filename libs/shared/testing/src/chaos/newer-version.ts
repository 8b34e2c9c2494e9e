// The next version of ourselves, for a rolling update that takes its time: its catalogue has a task more, and one whose parameters and times have changed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Catalog } from '@dbops/catalog/catalog'
import { copySource } from '../source-copy.ts'

/** Only the newer version knows it: the older one refuses to take it up, and leaves it to the newer when it was born there. */
export const newTask = 'pg.analyze-again'
const old = 'pg.analyze'

export function makeNewerVersion(folder: string): void {
  mkdirSync(folder)
  copySource(folder)
  const file = join(folder, 'libs/shared/catalog/catalog.json')
  const catalog = JSON.parse(readFileSync(file, 'utf8')) as Catalog
  const analyze = catalog.tasks.find(task => task.name === old)!
  catalog.tasks.push({ ...structuredClone(analyze), name: newTask })
  analyze.timeout = '29m'
  analyze.params.properties = { ...analyze.params.properties, note: { type: 'string', default: 'from the newer version' } }
  writeFileSync(file, JSON.stringify(catalog))
  const tasks = join(folder, 'apps/pg-maintainer/src/tasks')
  const text = readFileSync(join(tasks, 'analyze.ts'), 'utf8')
  if (!text.includes(`name: '${old}'`)) throw new Error(`tasks/analyze.ts does not declare ${old} as it did`)
  writeFileSync(join(tasks, 'analyze-again.ts'), text.replace(`name: '${old}'`, `name: '${newTask}'`))
}
