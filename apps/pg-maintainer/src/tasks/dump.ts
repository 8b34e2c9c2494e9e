// pg.dump: the definitions of everything and the rows of the listed tables, from one snapshot, streamed into the store; roles apart.
import { parseDuration } from '@dbops/contract/duration'
import { failureOf } from '@dbops/contract/failure'
import { type AnyContext, ref } from '@dbops/contract/task'
import { z } from 'zod'
import { compareContents, digestOf, hashOf, readContents } from '../dump/contents.ts'
import { isWhole } from '../dump/globals.ts'
import type { Measure } from '../dump/measure.ts'
import { type DumpPlan, planDump } from '../dump/plan.ts'
import { dumpFile, globalsFile, restoreLines } from '../dump/restore-lines.ts'
import { filterOf, filters } from '../dump/row-security.ts'
import { holdSnapshot, type Snapshot } from '../dump/snapshot.ts'
import { readStructure } from '../dump/structure.ts'
import { readSurroundings } from '../dump/surroundings.ts'
import { withEmptiness } from '../dump/views.ts'
import { namingBlocker } from '../locks/watch.ts'
import { lockTimeout } from '../session.ts'
import { quoteTable, showTable } from '../table-name.ts'
import { defineTask, type Postgres, type PostgresVerbs } from '../task.ts'

/** pg_dump waits this long for a table that a migration holds, and no longer: whoever comes later waits behind it. */
const lockWait = 5_000
/** pg_dump locks every table, whatever rows it leaves out. The counts wait less long than it does. */
const reading = { what: () => 'a table of the database', lockTimeout }
/** The snapshot keeps dying rows; pg_dump has its own transaction for the rest of the way. */
const snapshotLimit = '1h'
/** Definitions and roles, which are not in the tables' size. */
const overhead = 16 * 2 ** 20

const seconds = z.number()

export default defineTask({
  name: 'pg.dump',
  summary: 'Dump the definitions of a database and the rows of the listed tables',
  params: z.strictObject({ dump: ref('dumps').describe('an entry of `dumps`') }),
  result: z.strictObject({
    tables: z.int(),
    rows: z.int(),
    bytes: z.int(),
    files: z.int(),
    excluded: z.int(),
    filter: z.enum(filters),
    /** Of each file as it passed on its way into the store. */
    sha256: z.record(z.string(), z.string()),
    /** Of the tables whose rows are in it. */
    contents: z.string(),
    seconds: z.strictObject({ plan: seconds, globals: seconds, dump: seconds, counts: seconds }),
  }),
  lane: 'heavy',
  locks: { shared: ['target'], exclusive: ['dump:{dump}'] },
  timeout: '4h',
  deadline: '8h',
  produces: 'dump',
  needs: { tools: ['pg_dump', 'pg_dumpall', 'pg_restore'] },
  emits: { succeeded: 'backup_completed', failed: 'backup_failed' },

  async plan(c) {
    await toolVersions(c.pg)
    const { included, added, excluded, filter, views, bytes } = await namingBlocker(c.pg, reading, () => planDump(c.pg, c.entries.dump))
    return {
      tables: included.map(showTable),
      added,
      excluded: excluded.length,
      filter,
      atMostBytes: bytes + overhead,
      viewsNotRestorable: views.filter(({ restorable }) => !restorable).map(({ view }) => showTable(view)),
    }
  },

  async run(c) {
    const tools = await toolVersions(c.pg)
    const clock = stopwatch()
    await c.guard()
    await using snapshot = await holdSnapshot(c.pg, parseDuration(snapshotLimit))
    const plan = await namingBlocker(c.pg, reading, () => planDump(snapshot, c.entries.dump))
    const surroundings = await readSurroundings(snapshot)
    const structure = await readStructure(snapshot)
    const views = await withEmptiness(snapshot, plan.views)
    const planTime = clock()
    await c.artifact.demand(plan.bytes + overhead)
    if (plan.filter === 'policy') await snapshot.execute('SET LOCAL row_security = on')

    await c.guard()
    const globals = await c.pg.tool('pg_dumpall', [
      '--globals-only',
      // Only a superuser may read them, and no backup should hold them.
      '--no-role-passwords',
      `--database=${c.pg.database}`,
      `--lock-wait-timeout=${lockWait}ms`,
      '--no-password',
    ])
    const globalsWritten = await c.artifact.write(globalsFile, globals.stdout, c.signal)
    const globalsTime = clock()

    await c.guard()
    const { written, counts, dumpTime, countTime } = await namingBlocker(c.pg, reading, () => dumpAndCount(c, snapshot, plan))
    const contents = await readContents(c.pg, c.artifact, dumpFile, c.signal)
    compareContents(contents, plan.included)

    const { shape, extensions, roles, policies } = surroundings
    const { version, systemIdentifier, database } = c.pg
    c.artifact.describe({
      server: { version, systemIdentifier, database, ...shape },
      snapshot: { id: snapshot.id, at: snapshot.at, lsn: snapshot.lsn },
      tables: plan.included.map((table, index) => ({ table: showTable(table), ...counts[index]! })),
      extensions,
      roles,
      policies,
      tools,
      restore: restoreLines(database, shape, extensions, plan.views),
      excluded: plan.excluded.length,
      added: plan.added,
      filter: plan.filter,
      largeObjects: 'not in this dump',
      views: views.map(({ view, ...rest }) => ({ view: showTable(view), ...rest })),
      structure,
      bytesOnDisk: plan.bytes,
    })
    return {
      tables: plan.included.length,
      rows: counts.reduce((sum, { rows }) => sum + rows, 0),
      bytes: written.bytes + globalsWritten.bytes,
      files: 2,
      excluded: plan.excluded.length,
      filter: plan.filter,
      sha256: { [dumpFile]: written.sha256, [globalsFile]: globalsWritten.sha256 },
      contents: digestOf(plan.included.map(({ oid }) => oid)),
      seconds: { plan: planTime, globals: globalsTime, dump: dumpTime, counts: countTime },
    }
  },

  async prove(c, facts) {
    const no = (reason: string, evidence: Record<string, unknown> = {}) => ({ ok: false, reason, evidence })
    try {
      const contents = await readContents(c.pg, c.artifact, dumpFile, c.signal)
      if (!contents.size) return no('the dump in the store holds no rows of any table')
      if (digestOf(contents.keys()) !== facts.contents)
        return no(`the dump in the store has the rows of ${contents.size} tables, and not of those ${facts.tables} that were planned`, {
          contents: [...contents.values()],
        })
      for (const file of [dumpFile, globalsFile]) {
        const sha256 = await hashOf(c.artifact.read(file))
        if (sha256 !== facts.sha256[file]) return no(`${file} in the store is not what was written to it`, { file, sha256 })
      }
      const globals = Buffer.concat(await Array.fromAsync(c.artifact.read(globalsFile))).toString('utf8')
      if (!isWhole(globals))
        return no(`${globalsFile} is not whole: the line with which pg_dumpall ends is missing`, { globals: globals.length })
      // A policy that was narrowed while the dump ran has narrowed the dump.
      if (facts.filter === 'policy') {
        const { included } = await planDump(c.pg, c.entries.dump)
        await filterOf(c.pg, included)
      }
      return {
        ok: true,
        reason: `rows of ${contents.size} tables and the roles, read back from the store`,
        evidence: { contents: [...contents.values()], sha256: facts.sha256 },
      }
    } catch (error) {
      if (c.signal.aborted) throw error
      return no(`the dump cannot be read back: ${failureOf(error).message}`)
    }
  },
})

/** Refused where one is missing or older than the server. */
async function toolVersions(pg: Postgres): Promise<Record<string, string>> {
  return {
    pg_dump: await pg.toolVersion('pg_dump'),
    pg_dumpall: await pg.toolVersion('pg_dumpall'),
    pg_restore: await pg.toolVersion('pg_restore'),
  }
}

type Workbench = Pick<AnyContext, 'artifact' | 'signal' | 'progress'> & PostgresVerbs

/** Both at once from one snapshot. It is let go as soon as pg_dump has taken it over and the last table is counted. */
async function dumpAndCount(c: Workbench, snapshot: Snapshot, plan: DumpPlan) {
  const failed = new AbortController()
  const signal = AbortSignal.any([c.signal, failed.signal])
  const clock = stopwatch()
  const tool = await c.pg.tool('pg_dump', dumpArguments(snapshot, plan), { signal })
  const takenOver = Promise.withResolvers<void>()
  // Nothing is written before the tables are locked and the catalogue is read: by then pg_dump has the snapshot.
  const output = passing(tool.stdout, bytes => {
    takenOver.resolve()
    c.progress(bytes, null, 'bytes')
  })
  const dumping = c.artifact.write(dumpFile, output, signal).then(written => ({ written, dumpTime: clock() }))
  const counting = countAll(snapshot, plan, signal).then(counts => ({ counts, countTime: clock() }))
  const both = [dumping, counting] as const
  for (const part of both) part.catch((error: unknown) => failed.abort(error))
  void Promise.all([takenOver.promise, counting])
    .then(() => snapshot[Symbol.asyncDispose]())
    .catch(() => undefined)
  try {
    const [dumped, counted] = await Promise.all(both)
    return { ...dumped, ...counted }
  } finally {
    // A count that goes on for nobody is ended with its session.
    failed.abort()
    await snapshot[Symbol.asyncDispose]()
    await Promise.allSettled(both)
  }
}

const dumpArguments = ({ id }: Snapshot, { excluded, filter }: DumpPlan): string[] => [
  '--format=custom',
  `--snapshot=${id}`,
  `--lock-wait-timeout=${lockWait}ms`,
  // They belong to nobody's table, and only their owner may read them.
  '--no-blobs',
  '--no-password',
  ...(filter === 'policy' ? ['--enable-row-security'] : []),
  // Whole names in quotes, from the catalogue: a pattern that fits nothing would dump everything, and say nothing.
  ...excluded.map(table => `--exclude-table-data=${quoteTable(table)}`),
]

async function countAll(snapshot: Snapshot, { included }: DumpPlan, signal: AbortSignal): Promise<Measure[]> {
  const counts: Measure[] = []
  for (const table of included) {
    signal.throwIfAborted()
    counts.push(await snapshot.measure(table))
  }
  return counts
}

async function* passing(source: AsyncIterable<Uint8Array>, tell: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of source) {
    bytes += chunk.length
    tell(bytes)
    yield chunk
  }
}

/** Each call: seconds since the call before, to a tenth. */
function stopwatch(): () => number {
  let last = performance.now()
  return () => {
    const since = performance.now() - last
    last = performance.now()
    return Math.round(since / 100) / 10
  }
}
