// Takes out each protection of the run protocol on a copy of the source, attacks what is left, and tells whether the judge of the history sees it.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { ChaosReport } from '@dbops/testing/chaos/run-chaos'
import { copySource } from '@dbops/testing/source-copy'

const say = (line: string) => process.stderr.write(`${line}\n`)
interface Protection {
  name: string
  file: string
  /** What stands there, and what stands there without the protection. */
  patch: [from: string, to: string][]
  /** The faults against which it protects. */
  only: string
}
const runs = 'libs/shared/ledger/src/runs.ts'
const protections: Protection[] = [
  { name: 'nothing: the control', file: runs, patch: [], only: 'stop-long,kill,flushall,redis-older,duplicate,cut' },
  {
    name: 'fence and state in the WHERE of the end',
    file: runs,
    patch: [
      [
        "where fence = $1 and state = 'running' returning id, attempt, fence, worker\n  ), freed",
        'where fence = $1 returning id, attempt, fence, worker\n  ), freed',
      ],
    ],
    only: 'stop-long,black-hole',
  },
  {
    // The locks that a session takes in the target hold back whoever comes after it: without the eviction they do so for as long as a lost connection stays open there.
    name: 'eviction of the sessions of lost attempts',
    file: 'libs/shared/runtime/src/attempt-session.ts',
    patch: [['if (lost.length) {', 'if (lost.length < 0) {']],
    only: 'forget,kill',
  },
  {
    name: 'offering again what nobody claimed',
    file: 'apps/scheduler/src/dispatch.ts',
    patch: [["offer(await runs.unclaimed(ledger, timers.lease / 6), 'offerAgain')", 'undefined']],
    only: 'flushall,redis-empty,job-deleted',
  },
  {
    name: 'replay of one’s own pending entries',
    file: 'libs/shared/runtime/src/stream-reader.ts',
    patch: [
      ['if (!(await takePending())) {', 'if (takePending.length > 0) {'],
      ['await takeAbandoned(r)', 'void takeAbandoned'],
    ],
    only: 'cut,black-hole,restart,lost-reply,kill',
  },
  {
    name: 'the inbox',
    file: 'libs/shared/ledger/src/inbox.ts',
    patch: [['on conflict do nothing returning event', 'on conflict (consumer, event) do update set at = inbox.at returning event']],
    only: 'duplicate',
  },
  {
    name: 'the manifest last',
    file: 'libs/shared/artifacts/src/writer.ts',
    patch: [
      [
        '      writing++\n',
        '      writing++\n      if (!files.length) await store.putExclusive(`${place}/${manifestFile}`, \'{"files": []}\')\n',
      ],
      ['      if (await store.putExclusive(', '      await store.remove(`${place}/${manifestFile}`)\n      if (await store.putExclusive('],
    ],
    only: 'kill,store-full',
  },
  {
    name: 'the reaper',
    file: 'apps/scheduler/src/reap.ts',
    patch: [['of await runs.expired(db, service.timers.reap)', 'of [] as runs.Run[]']],
    only: 'kill,stop-long',
  },
  {
    name: 'the publisher’s token',
    file: 'apps/scheduler/src/publish.ts',
    patch: [
      ["if mark ~= ARGV[1] then return 'lost:' .. mark end", ''],
      ['if (mark !== standing && mark !== ahead) await', 'if (mark === standing + ahead) await'],
    ],
    only: 'flushall,redis-empty,reader-sleeps',
  },
  {
    name: 'the guard',
    file: 'libs/shared/runtime/src/leases.ts',
    patch: [['if (this.#isFresh()) return', 'return']],
    only: 'partition',
  },
  {
    name: 'the second look at the lease, after the connect',
    file: 'libs/shared/runtime/src/attempt-session.ts',
    patch: [['guard: () => a.lease.guard(),', 'guard: async () => undefined,']],
    only: 'partition',
  },
  {
    name: 'the lock’s second look, at the claim',
    file: runs,
    patch: [['and not mine.held and other.held limit 1', 'and not mine.held and other.held and false limit 1']],
    only: 'kill,stop-long,flushall,duplicate',
  },
]

const { values } = parseArgs({
  options: {
    json: { type: 'boolean' },
    only: { type: 'string' },
    seeds: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '1' },
  },
})
const results: { protection: string; found: boolean; seed: number; rules: string[]; example: string; faults: number }[] = []
for (const protection of protections.filter(one => !values.only || one.name.includes(values.only))) {
  const copy = mkdtempSync(join(tmpdir(), 'dbops-protections-'))
  copySource(copy)
  try {
    const file = join(copy, protection.file)
    let text = readFileSync(file, 'utf8')
    for (const [from, to] of protection.patch) {
      if (!text.includes(from)) throw new Error(`${protection.name}: ${protection.file} does not read "${from}" any more`)
      text = text.replace(from, to)
    }
    writeFileSync(file, text)
    for (let seed = 1; seed <= Number(values.seeds); seed++) {
      say(`without ${protection.name}, seed ${seed}`)
      const report = attack(copy, protection.only, seed)
      const { violations } = report
      const result = {
        protection: protection.name,
        found: violations.length > 0,
        seed,
        rules: [...new Set(violations.map(one => one.rule))],
        example: violations[0]?.what ?? '',
        faults: Object.values(report.faults).reduce((sum, n) => sum + n, 0),
      }
      say(`  ${result.found ? `found: ${result.rules.join('; ')}. ${result.example}` : 'not found'} (${result.faults} faults)`)
      if (result.found || seed === Number(values.seeds)) results.push(result)
      if (result.found) break
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
if (values.json) process.stdout.write(`${JSON.stringify(results)}\n`)
else
  for (const { protection, found, rules } of results)
    process.stdout.write(`${found ? 'found    ' : 'not found'}  ${protection}${found ? `: ${rules.join('; ')}` : ''}\n`)

function attack(copy: string, only: string, seed: number): ChaosReport {
  const program = join(copy, 'libs/shared/testing/src/chaos/main.ts')
  const args = [program, '--json', '--minutes', values.minutes, '--seed', String(seed), '--every', '1000', '--only', only]
  const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: copy, encoding: 'utf8', maxBuffer: 2 ** 28 })
  if (!stdout.startsWith('{')) throw new Error(`the attack itself failed: ${stderr.slice(-2_000)}`)
  return JSON.parse(stdout) as ChaosReport
}
