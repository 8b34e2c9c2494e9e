// pg.restore-check: restores a dump into a server that is thrown away, and looks whether everything is there and does what it should. Nothing else proves a backup.
import { createHash } from 'node:crypto'
import type { PgTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { type AnyContext, type Backup, ref } from '@dbops/contract/task'
import { sessionName } from '@dbops/runtime/engine'
import { redactAll } from '@dbops/runtime/redact'
import { scratchPlace, sweepScratch } from '@dbops/servers/scratch-postgres'
import { z } from 'zod'
import { checks, mutations } from '../restore/all-checks.ts'
import { type DumpManifest, readDumpManifest } from '../restore/dump-manifest.ts'
import { examine, type Found, tryChecks } from '../restore/examine.ts'
import { fetchFiles } from '../restore/fetch.ts'
import { pickBackup, picks } from '../restore/pick.ts'
import { expectedOf, notRestored, rebuild } from '../restore/rebuild.ts'
import { demandRoom, roomNeeded } from '../restore/room.ts'
import { type Scratch, startScratch } from '../restore/scratch.ts'
import { stopwatch } from '../restore/stopwatch.ts'
import { outcomes, type Report, verdictOf, verdicts } from '../restore/verdict.ts'
import { showTable } from '../table-name.ts'
import { defineTask } from '../task.ts'

const names = checks.map(({ name }) => name) as [string, ...string[]]

const check = z.strictObject({ name: z.string(), outcome: z.enum(outcomes), faults: z.int(), seconds: z.number() })
const score = z.strictObject({
  caught: z.int(),
  total: z.int(),
  mutations: z.array(
    z.strictObject({
      name: z.string(),
      outcome: z.enum(['caught', 'missed', 'not applicable']),
      what: z.string(),
      by: z.string().optional(),
      fault: z.string().optional(),
    }),
  ),
})

export default defineTask({
  name: 'pg.restore-check',
  summary: 'Restore a dump into a throw-away server and check that everything in it is as it was',
  params: z.strictObject({
    dump: ref('dumps').describe('an entry of `dumps`'),
    pick: z.enum(picks).default('newest').describe('which of its backups'),
    backup: z.string().min(8).optional().describe('that one: its id or the last 8 characters of it'),
    mutate: z.boolean().default(false).describe('try the checks themselves too: plant known faults in copies, each must be seen'),
    without: z.array(z.enum(names)).default([]).describe('checks that are left out; the verdict is then partial at best'),
  }),
  result: z.strictObject({
    verdict: z.enum(verdicts),
    backup: z.strictObject({ id: z.string(), createdAt: z.iso.datetime(), location: z.string() }),
    /** Of the original and of the scratch server. */
    versions: z.strictObject({ original: z.string(), scratch: z.string() }),
    checks: z.array(check),
    /** `counts: core.users has 9 rows, not 10`: the first faults of each check, and why one was blind or not checked. */
    wrong: z.array(z.string()),
    /** What is no fault and worth knowing. */
    notes: z.array(z.string()),
    mutations: score.nullable(),
    /** Extensions and entries of the dump that were not brought back, by design or because they are not installed here. */
    leftOut: z.array(z.string()),
    /** Views that this dump cannot fill, as rows below them are not in it. */
    viewsNotRestorable: z.array(z.string()),
    tables: z.int(),
    rows: z.int(),
    bytes: z.int(),
    /** From the dump's snapshot to the slot, or to now: what would be lost. */
    rpoSeconds: z.number(),
    /** From the beginning to the verdict, without the mutations: how long a restore takes. */
    rtoSeconds: z.number(),
    /** Of each phase. */
    seconds: z.record(z.string(), z.number()),
    /** The file beside the backup that has all of this, and its checksum. */
    evidence: z.strictObject({ file: z.string(), sha256: z.string() }),
  }),
  lane: 'heavy',
  locks: { exclusive: ['restore-check'] },
  timeout: '2h',
  deadline: '8h',
  attempts: 2,
  on: 'artifact',
  needs: { tools: ['pg_restore', 'psql'] },
  emits: { succeeded: 'backup_verified', failed: 'restore_check_failed' },

  async run(c) {
    const clock = stopwatch((name, place) => c.progress(place, null, 'phases', name))
    await sweepScratch()
    const { backup, manifest } = await clock.time('find', () => find(c))
    await demandRoom(scratchPlace(), roomNeeded(manifest, c.params.mutate))

    await using scratch = await clock.time('start', () => startScratch(requestOf(c, manifest)))
    const fileFaults = await clock.time('fetch', () => fetch(c, backup, manifest, scratch))
    const copy = fileFaults.length ? notRestored('files of the backup are damaged') : await rebuild(scratch, manifest, clock)
    const found: Found = {
      manifest: expectedOf(manifest, copy.leftOut),
      thorough: c.params.mutate,
      appRole: (c.target.config as PgTarget | null)?.appRole,
      fileFaults,
      ...copy,
    }
    const chosen = checks.filter(({ name }) => !c.params.without.includes(name))
    const reports = await clock.time('checks', () => examine(scratch, found, chosen, c))
    const verdict = verdictOf([...copy.reports, ...reports, ...c.params.without.map(() => ({ outcome: 'not checked' as const }))])
    const rtoSeconds = clock.total()
    // Checks that lost their server have found nothing out about the backup.
    if (verdict === 'fail') await scratch.open('postgres').then(session => session[Symbol.asyncDispose]())
    await c.backups.judged(backup, verdict)

    // Of a copy that has faults already nobody could say which of them a check has seen.
    const tries = c.params.mutate && verdict !== 'fail'
    const tried = tries ? await clock.time('mutations', () => tryChecks(scratch, found, chosen, mutations, c.signal)) : null
    const facts = {
      verdict,
      backup: { id: backup.id, createdAt: backup.createdAt.toISOString(), location: backup.location },
      versions: { original: manifest.server.version, scratch: scratch.version },
      ...told([...copy.reports, ...reports], c.params.without),
      mutations: tried,
      leftOut: [...copy.leftOut.map(name => `extension ${name}`), ...copy.dropped],
      viewsNotRestorable: manifest.facts.views.filter(({ restorable }) => !restorable).map(({ view }) => showTable(view)),
      tables: manifest.tables.length,
      rows: manifest.tables.reduce((sum, { rows }) => sum + rows, 0),
      bytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
      rpoSeconds: Math.round(((c.run.slot ?? new Date()).getTime() - Date.parse(manifest.snapshot.at)) / 1_000),
      rtoSeconds,
      seconds: clock.seconds,
    }
    return { ...facts, evidence: await keep(c, backup, facts) }
  },

  async prove(c, facts) {
    const evidence = { backup: facts.backup.id, verdict: facts.verdict, file: facts.evidence.file }
    const no = (reason: string) => ({ ok: false, reason, evidence })
    if (facts.verdict !== 'pass')
      return no(
        `${facts.verdict}: ${facts.wrong.slice(0, 3).join('; ')}${facts.wrong.length > 3 ? `; and ${facts.wrong.length - 3} more` : ''}`,
      )
    const { mutations: tried } = facts
    if (tried && tried.caught < tried.total)
      return no(
        `the checks saw ${tried.caught} of ${tried.total} planted faults, and not: ${tried.mutations
          .filter(({ outcome }) => outcome === 'missed')
          .map(({ name }) => name)
          .join(', ')}`,
      )
    try {
      const backup = (await c.backups.list({ kind: 'dump', name: c.params.dump })).find(({ id }) => id === facts.backup.id)
      if (!backup) return no('the backup is not in the catalogue any more')
      const hash = createHash('sha256')
      for await (const chunk of c.backups.read(backup, facts.evidence.file, c.signal)) hash.update(chunk)
      if (hash.digest('hex') !== facts.evidence.sha256) return no(`${facts.evidence.file} is not what was written beside the backup`)
    } catch (error) {
      c.signal.throwIfAborted()
      return no(`the evidence beside the backup cannot be read back: ${failureOf(error).message}`)
    }
    return {
      ok: true,
      reason: `restored, ${facts.checks.length} checks passed${tried ? `, ${tried.caught} of ${tried.total} planted faults seen` : ''}`,
      evidence,
    }
  },

  /** A scratch server dies with its maintainer; where its watchdog was killed too, it goes here. */
  recover: async () => void (await sweepScratch()),
})

type Workbench = Pick<AnyContext, 'backups' | 'params' | 'run' | 'signal' | 'progress'>

async function find(c: Workbench): Promise<{ backup: Backup; manifest: DumpManifest }> {
  const { dump, pick, backup: named } = c.params as { dump: string; pick: (typeof picks)[number]; backup?: string }
  const backup = pickBackup(await c.backups.list({ kind: 'dump', name: dump }), { dump, pick, backup: named })
  await c.backups.hold(backup)
  return { backup, manifest: readDumpManifest(backup) }
}

const requestOf = ({ run, signal }: Workbench, { server, tools }: DumpManifest) => ({
  name: sessionName(run.installation, run.fence, 'pg.restore-check'),
  folder: `${run.installation}-${run.fence}`,
  version: server.version,
  dumpedBy: tools['pg_dump'] ?? server.version,
  signal,
})

const fetch = ({ backups, progress, signal }: Workbench, backup: Backup, { files }: DumpManifest, { server }: Scratch) => {
  let bytes = 0
  const total = files.reduce((sum, file) => sum + file.bytes, 0)
  const tell = (more: number) => progress((bytes += more), total, 'bytes', 'fetch')
  return fetchFiles(files, file => backups.read(backup, file, signal), server.folder, { signal, tell })
}

/** Beside the backup, under a name of this attempt's own. */
async function keep(c: Workbench, backup: Backup, facts: Record<string, unknown>): Promise<{ file: string; sha256: string }> {
  const text = `${JSON.stringify({ task: 'pg.restore-check', run: c.run.id, fence: c.run.fence, at: new Date().toISOString(), ...redactAll(facts) }, null, 2)}\n`
  const file = await c.backups.attach(backup, 'restore-check.json', text)
  return { file, sha256: createHash('sha256').update(text).digest('hex') }
}

const told = (reports: readonly Report[], without: readonly string[]) => ({
  checks: reports.map(({ name, outcome, faultCount, seconds }) => ({ name, outcome, faults: faultCount, seconds })),
  wrong: [
    ...reports.flatMap(({ name, outcome, faults, faultCount, reason }) => [
      ...faults.map(fault => `${name}: ${fault}`),
      ...(faultCount > faults.length ? [`${name}: and ${faultCount - faults.length} more`] : []),
      ...(reason === undefined ? [] : [`${name} is ${outcome}: ${reason}`]),
    ]),
    ...without.map(name => `${name} was left out`),
  ],
  notes: reports.flatMap(({ name, notes }) => notes.map(note => `${name}: ${note}`)),
})
