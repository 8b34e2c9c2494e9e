// Backups as the ledger's catalogue knows them; each has a manifest in its store, which says everything and outlives the ledger.
import { fileURLToPath } from 'node:url'
import { formatSize } from '@dbops/contract/duration'
import { type ArtifactRow, findArtifact, listArtifacts } from '@dbops/ledger/artifacts'
import type { Context } from './command.ts'
import { factLines, indent } from './facts.ts'
import { limitOf } from './filters.ts'
import { clock, past } from './moment.ts'
import { ago, type Colour, type Print, shortId } from './print.ts'
import { findOne } from './runs/find-run.ts'
import { room } from './runs/start-run.ts'

/** The keys are a contract with scripts: they may become more. */
const backupRecord = (a: ArtifactRow) => ({
  id: a.id,
  run: a.run,
  target: a.target,
  kind: a.kind,
  name: a.name,
  operation: a.operation,
  store: a.store,
  createdAt: a.createdAt,
  bytes: a.bytes,
  files: a.files,
  verified: a.verifiedAt ? { at: a.verifiedAt, verdict: a.verdict } : null,
  /** Of the last restore check; null when there was none. */
  verdict: a.verdict,
  location: a.location,
})

export async function backups({ options, print, connect }: Context): Promise<void> {
  const limit = limitOf(options['limit'])
  const target = options['target'] as string | undefined
  const { ledger, environment } = await connect()
  const found = await listArtifacts(ledger, { limit, ...(target ? { target } : {}) })
  const now = await ledger.now()
  print.environment(environment)
  print.rows(
    found.map(backupRecord),
    [
      { head: 'id', of: b => shortId(b.id), colour: () => 'bold' },
      { head: 'name', of: b => `${b.kind} ${b.name}` },
      { head: 'target', of: b => b.target },
      { head: 'created', wide: true, of: b => clock(b.createdAt, now) },
      { head: 'ago', of: b => ago(b.createdAt, now), right: true },
      { head: 'size', of: b => formatSize(b.bytes), right: true },
      { head: 'files', wide: true, of: b => b.files, right: true },
      {
        head: 'verified',
        of: b => verifiedWords(b, now),
        colour: b => (b.verdict === null ? undefined : verdictColour(b.verdict)),
      },
      { head: 'location', of: b => b.location },
    ],
    `no backup${target ? ` of ${target}` : ''} has a manifest yet; ./dbops runs --task pg.dump shows what was tried, ./dbops run pg.dump --help makes one`,
  )
}

export async function showBackup({ args, print, connect }: Context): Promise<void> {
  const { ledger, environment } = await connect()
  const found = await findOne('backup', args[0] as string, './dbops backups', id => findArtifact(ledger, id))
  print.record({ ...backupRecord(found), manifest: found.manifest })
  if (print.json) return
  const now = await ledger.now()
  const { restore, files, ...manifest } = found.manifest as { restore?: string[]; files?: unknown[] }
  print.environment(environment)
  print.line(
    `backup ${print.colour('bold', shortId(found.id))}  ${found.kind} ${found.name} of ${found.target}, ${formatSize(found.bytes)} in ${found.files} files`,
  )
  const rows = [
    ['created', past(found.createdAt, now)],
    ['verified', verifiedWords(backupRecord(found), now)],
    ['location', found.location],
  ]
  for (const [name, value] of rows) print.line(`  ${print.colour('dim', name!.padEnd(8))}  ${value}`)
  print.line()
  tellRestore(print, found, restore)
  const sections: [string, unknown][] = [
    ['files', files],
    ['manifest', manifest],
  ]
  for (const [name, facts] of sections) {
    print.line()
    print.line(print.colour('bold', name))
    for (const line of indent(factLines(facts, room()))) print.line(line)
  }
}

/** The lines that restore it, to be run by whoever has no more than a shell. */
export function tellRestore(print: Print, { location }: ArtifactRow, restore: string[] | undefined): void {
  print.line(print.colour('bold', 'restore, without this system'))
  if (location.startsWith('file://')) print.line(`  cd '${fileURLToPath(location)}'`)
  for (const line of restore ?? ['# the manifest says nothing about it']) print.line(`  ${line}`)
}

/** Only a pass makes it verified, and a later check that does not pass says more than the pass before it. */
const verifiedWords = ({ verified, verdict }: Pick<ReturnType<typeof backupRecord>, 'verified' | 'verdict'>, now: Date) => {
  if (verdict === null) return 'not yet'
  if (verdict === 'pass') return verified ? `pass ${ago(verified.at, now)} ago` : 'pass'
  return verified ? `${verdict}; passed ${ago(verified.at, now)} ago` : verdict
}
const verdictColour = (verdict: string): Colour => (verdict === 'pass' ? 'green' : verdict === 'partial' ? 'yellow' : 'red')
