// Reads the table of contents of a dump in its store: which tables' rows it really has. It is the archive's own word, not pg_dump's exit code.
import { createHash } from 'node:crypto'
import { Problem } from '@dbops/contract/failure'
import type { Artifact } from '@dbops/contract/task'
import { listed } from '../relations.ts'
import { showTable } from '../table-name.ts'
import type { Postgres } from '../task.ts'
import type { Table } from './catalogue.ts'

// `3415; 0 16390 TABLE DATA core users axiom_owner`: the second number is the table's oid, the only one of these that cannot be misread.
const tableData = /^\d+; \d+ (\d+) TABLE DATA (.*)$/gm

export type Contents = Map<number, string>

/** Oid → the rest of the line. The list stands at the head of the archive: pg_restore reads that far and closes its end. */
export async function readContents(pg: Postgres, artifact: Artifact, file: string, signal: AbortSignal): Promise<Contents> {
  const tool = await pg.tool('pg_restore', ['--list'], { signal, stdin: artifact.read(file) })
  const text = Buffer.concat(await Array.fromAsync(tool.stdout)).toString('utf8')
  return new Map([...text.matchAll(tableData)].map(([, oid, name]) => [Number(oid), name!]))
}

/** Throws `contents_differ`, with what is too much and what is missing. */
export function compareContents(contents: Contents, planned: readonly Table[]): void {
  const missing = planned.filter(({ oid }) => !contents.has(oid)).map(showTable)
  const known = new Set(planned.map(({ oid }) => oid))
  const surplus = [...contents].filter(([oid]) => !known.has(oid)).map(([, name]) => name)
  const faults = [
    ...(missing.length ? [`rows of ${listed(missing)} are not in it`] : []),
    ...(surplus.length ? [`rows of ${listed(surplus)} are in it and should not be`] : []),
  ]
  if (faults.length)
    throw new Problem(`the dump is not what was planned: ${faults.join('; ')}`, {
      code: 'contents_differ',
      hint: 'this is a bug: the exclusions did not fit what pg_dump found',
    })
}

/** Of the tables' oids, in order: equal for equal contents. */
export const digestOf = (oids: Iterable<number>): string =>
  createHash('sha256')
    .update([...oids].sort((a, b) => a - b).join(' '))
    .digest('hex')

export async function hashOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of source) hash.update(chunk)
  return hash.digest('hex')
}
