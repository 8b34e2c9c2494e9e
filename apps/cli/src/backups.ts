// Backups as the ledger's catalogue knows them; each has a manifest in its store, which says everything and outlives the ledger.
import { fileURLToPath } from 'node:url'
import { formatSize } from '@dbops/contract/duration'
import { type ArtifactRow, findArtifact, listArtifacts } from '@dbops/ledger/artifacts'
import type { Context } from './command.ts'
import { factLines, indent } from './facts.ts'
import { limitOf } from './filters.ts'
import { clock, past, stamp } from './moment.ts'
import { ago, shortId } from './print.ts'
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
      { head: 'verified', wide: true, of: b => (b.verified ? `${b.verified.verdict} ${ago(b.verified.at, now)} ago` : 'not yet') },
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
    ['verified', found.verifiedAt ? `${found.verdict}, ${stamp(found.verifiedAt)}` : 'not yet'],
    ['location', found.location],
  ]
  for (const [name, value] of rows) print.line(`  ${print.colour('dim', name!.padEnd(8))}  ${value}`)
  print.line()
  print.line(print.colour('bold', 'restore, without this system'))
  if (found.location.startsWith('file://')) print.line(`  cd '${fileURLToPath(found.location)}'`)
  for (const line of restore ?? ['# the manifest says nothing about it']) print.line(`  ${line}`)
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
