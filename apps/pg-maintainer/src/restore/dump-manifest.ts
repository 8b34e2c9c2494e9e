// What a restore check reads in the manifest of a dump. Parts that older dumps have not are null: what cannot be compared is said to be unchecked.
import { Problem } from '@dbops/contract/failure'
import type { Backup } from '@dbops/contract/task'
import { z } from 'zod'
import type { Structure } from '../dump/structure.ts'
import { parseTable, type TableName } from '../table-name.ts'

const table = z.string().transform((text, context): TableName => {
  const name = parseTable(text)
  if (name) return name
  context.addIssue(`"${text}" is no name of a table`)
  return z.NEVER
})
const structure = z.custom<Structure>(value => typeof value === 'object' && value !== null && 'relations' in value)

const dumpManifest = z.object({
  server: z.object({
    version: z.string(),
    systemIdentifier: z.string(),
    database: z.string(),
    encoding: z.string(),
    collate: z.string(),
    ctype: z.string(),
    provider: z.string(),
    locale: z.string().nullable(),
  }),
  snapshot: z.object({ at: z.iso.datetime(), lsn: z.string() }),
  tables: z.array(z.object({ table, rows: z.int(), newest: z.record(z.string(), z.string().nullable()).optional() })),
  extensions: z.array(z.object({ name: z.string(), version: z.string() })),
  roles: z.array(z.string()),
  policies: z.array(z.object({ table: z.string(), name: z.string() })),
  tools: z.record(z.string(), z.string()),
  files: z.array(z.object({ file: z.string(), bytes: z.int(), sha256: z.string() })),
  facts: z.object({
    views: z.array(z.object({ view: table, populated: z.boolean(), restorable: z.boolean(), empty: z.boolean().optional() })),
    structure: structure.nullable().default(null),
    bytesOnDisk: z.number().nullable().default(null),
  }),
})
export type DumpManifest = z.output<typeof dumpManifest>

/** Throws `manifest_damaged` for a manifest that no pg.dump wrote. */
export function readDumpManifest({ id, location, manifest }: Pick<Backup, 'id' | 'location' | 'manifest'>): DumpManifest {
  const parsed = dumpManifest.safeParse(manifest)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  throw new Problem(`the manifest of backup ${id} is not one of a dump: ${issue.path.join('.')}: ${issue.message}`, {
    code: 'manifest_damaged',
    hint: `look at ${location}/manifest.json`,
  })
}

/** `15.18 (Debian …)` → 15. */
export const majorOf = (version: string): number => Number.parseInt(version)
