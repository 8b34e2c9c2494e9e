// How fast a dump of every table reaches the store through us (counted, hashed, read back), beside pg_dump into a plain file; and what it costs us and the server.
import { spawn } from 'node:child_process'
import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from '@dbops/ledger/commands'
import { find } from '@dbops/ledger/runs'
import { createSample } from '@dbops/sample/create'
import { Client } from 'pg'
import { startLine } from '../line.ts'
import { cpuSeconds, forgetPeak, peakRss } from '../process-facts.ts'
import { machine, median, print, quick, type Row, ratios, say, versionOf } from '../report.ts'

const rows = quick ? 300_000 : 1_500_000
const pairs = quick ? 2 : 5
/** PostgreSQL's own default for -Fc: gzip at level 6, the same in both. */
const tables = `
  select format('%s.%s', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname in ('core', 'vision') order by 1`

const begunAt = performance.now()
let database = ''
await using line = await startLine(async ({ adminUrl, folder }) => {
  database = (await createSample(adminUrl, { rows, say })).url
  const client = new Client(database)
  await client.connect()
  const names = (await client.query<{ name: string }>(tables)).rows.map(({ name }) => name)
  await client.end()
  mkdirSync(join(folder, 'store'))
  return `targets: { core: { engine: pg, url: "${database}" } }
stores: { main: { url: "file://${folder}/store", free: 1MiB } }
dumps: { everything: { target: core, data: [${names.join(', ')}], stores: [main] } }
`
})
await line.start('apps/scheduler/src/main.ts')
const maintainer = await line.start('apps/pg-maintainer/src/main.ts')

interface Took {
  /** Of the dump alone, and of everything from claim to end. */
  dump: number
  whole: number
  bytes: number
  serverCpu: number
  ourCpu: number
  peak: number
  counts: number
}

async function ours(): Promise<Took> {
  forgetPeak(maintainer.pid)
  const before = { server: cpuSeconds(line.serverPid), ours: cpuSeconds(maintainer.pid) }
  const answer = await ask(line.ledger, { verb: 'run', body: { task: 'pg.dump', params: { dump: 'everything' } }, actor: 'bench' })
  if (!answer.ok) throw new Error(answer.error.message)
  for (;;) {
    const [run] = await find(line.ledger, answer.run)
    if (run?.finishedAt) {
      if (run.state !== 'succeeded') throw new Error(`the dump ${run.state}: ${run.error?.message}`)
      const { bytes, seconds } = run.result as { bytes: number; seconds: { dump: number; counts: number } }
      return {
        dump: seconds.dump,
        counts: seconds.counts,
        whole: (run.finishedAt.getTime() - run.startedAt!.getTime()) / 1_000,
        bytes,
        serverCpu: cpuSeconds(line.serverPid) - before.server,
        ourCpu: cpuSeconds(maintainer.pid) - before.ours,
        peak: peakRss(maintainer.pid),
      }
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

/** `pg_dump -Fc > file`, and the file brought to the disk, as ours is. */
async function plain(): Promise<Pick<Took, 'dump' | 'bytes' | 'serverCpu'>> {
  const file = join(line.folder, 'plain.pgdump')
  const before = cpuSeconds(line.serverPid)
  const from = performance.now()
  const output = openSync(file, 'w')
  const code = await new Promise(resolve =>
    spawn('pg_dump', ['-Fc', '--no-blobs', database], { stdio: ['ignore', output, 'inherit'] }).once('exit', resolve),
  )
  fsyncSync(output)
  closeSync(output)
  if (code !== 0) throw new Error(`pg_dump ended with ${String(code)}`)
  return { dump: (performance.now() - from) / 1_000, bytes: statSync(file).size, serverCpu: cpuSeconds(line.serverPid) - before }
}

say('warming up')
await plain()
await ours()
const taken: { ours: Took; plain: Awaited<ReturnType<typeof plain>> }[] = []
for (let i = 0; i < pairs; i++) {
  // Who goes first changes, so that what the other left in the caches helps both alike.
  const first = i % 2 ? await plain() : undefined
  const mine = await ours()
  taken.push({ ours: mine, plain: first ?? (await plain()) })
  const { ours: o, plain: p } = taken.at(-1)!
  say(`pair ${i + 1} of ${pairs}: ours ${o.dump.toFixed(1)} s (whole run ${o.whole.toFixed(1)} s), plain ${p.dump.toFixed(1)} s`)
}

const MB = 2 ** 20
const rate: Row = {
  what: 'dump into the store',
  unit: 'MB/s',
  ours: taken.map(({ ours: o }) => o.bytes / MB / o.dump),
  peer: taken.map(({ plain: p }) => p.bytes / MB / p.dump),
  beside: 'pg_dump -Fc > file',
  goal: '≥ 0.95 × the plain pipe',
}
const cost: Row = {
  what: 'processor of the server',
  unit: 's',
  ours: taken.map(({ ours: o }) => o.serverCpu),
  peer: taken.map(({ plain: p }) => p.serverCpu),
  beside: 'pg_dump -Fc > file',
}
const peak = taken.map(({ ours: o }) => o.peak)
print({
  area: 'dump',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node, pg_dump: versionOf('pg_dump') },
  rows: [
    { ...rate, met: median(ratios(rate)) >= 0.95 },
    {
      what: 'whole run: plan, roles, dump, counts, read back, sealed',
      unit: 's',
      ours: taken.map(({ ours: o }) => o.whole),
      peer: taken.map(({ plain: p }) => p.dump),
      beside: 'pg_dump -Fc > file',
    },
    { what: 'memory of pg-maintainer at its peak', unit: 'MB RSS', ours: peak, goal: '≤ 150', met: median(peak) <= 150 },
    { what: 'processor of pg-maintainer (with pg_dump, which compresses)', unit: 's', ours: taken.map(({ ours: o }) => o.ourCpu) },
    cost,
    { what: 'counts, beside the dump', unit: 's', ours: taken.map(({ ours: o }) => o.counts) },
  ],
  notes: [
    `${rows.toLocaleString('en')} rows, ${(taken[0]!.plain.bytes / MB).toFixed(0)} MB of dump; the dump's time is the task's own, to a tenth of a second`,
    "sha256, size and counts are in the dump's time: hashed as it passes, counted beside it in the same snapshot",
  ],
})
