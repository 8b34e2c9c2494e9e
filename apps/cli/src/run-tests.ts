// The checks one after the other, then the tests of all packages in one run of vitest, whose servers are started once; then the score.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatDuration } from '@dbops/contract/duration'
import type { Context } from './command.ts'
import { exits } from './exits.ts'
import { root } from './home.ts'

interface Score {
  passed: number
  failed: number
}

/** Each counts as one. The cheap ones first. */
const checks: Record<string, [program: string, ...args: string[]]> = {
  derive: ['node', 'apps/cli/src/main.ts', 'derive', '--check'],
  typecheck: ['tsc', '--noEmit'],
  lint: ['oxlint', '--type-aware', '--deny-warnings'],
  format: ['biome', 'check', '.'],
  boundaries: ['node', 'tools/boundaries.ts'],
}

export async function runTests({ args, print }: Context): Promise<number> {
  const score: Score = { passed: 0, failed: 0 }
  // Ctrl-C reaches the child as well, which stops its servers; we wait for that and tell the score.
  process.on('SIGINT', () => {})
  for (const [name, argv] of Object.entries(checks)) {
    const begun = performance.now()
    const { code, output } = await run(argv, 'kept')
    print.line(
      `${name.padEnd(10)}  ${code ? print.colour('red', 'failed') : print.colour('green', 'ok')}  ${formatDuration(performance.now() - begun)}`,
    )
    if (code) process.stderr.write(output)
    score[code ? 'failed' : 'passed']++
  }
  const { passed, failed } = await runVitest((args[0] ?? []) as string[])
  score.passed += passed
  score.failed += failed
  print.record(score)
  print.line(`${score.passed} passed, ${score.failed} failed`)
  return score.failed ? exits.failed : exits.done
}

async function runVitest(filters: string[]): Promise<Score> {
  const folder = mkdtempSync(join(tmpdir(), 'dbops-score-'))
  try {
    const file = join(folder, 'score.json')
    const { code } = await run(['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...filters], 'shown')
    return scoreOf(file, code)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What vitest's JSON reporter writes, as far as it is read here. */
interface Report {
  numPassedTests: number
  numFailedTests: number
  testResults: { status: string; assertionResults: unknown[] }[]
}

/** A file that cannot be loaded is one that failed; and so is a run that ends badly though every test passed, or that leaves no report. */
export function scoreOf(file: string, code: number): Score {
  let report: Report
  try {
    report = JSON.parse(readFileSync(file, 'utf8')) as Report
  } catch {
    return { passed: 0, failed: 1 }
  }
  const unloaded = report.testResults.filter(({ status, assertionResults }) => status === 'failed' && !assertionResults.length).length
  const failed = report.numFailedTests + unloaded
  return { passed: report.numPassedTests, failed: failed || (code ? 1 : 0) }
}

function run([program, ...args]: [string, ...string[]], output: 'kept' | 'shown'): Promise<{ code: number; output: string }> {
  const path = `${join(root, 'node_modules/.bin')}:${process.env['PATH']}`
  const command = program === 'node' ? process.execPath : join(root, 'node_modules/.bin', program)
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, PATH: path },
    stdio: ['inherit', output === 'kept' ? 'pipe' : 'inherit', output === 'kept' ? 'pipe' : 'inherit'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (part: string) => (text += part))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve({ code: code ?? 1, output: text }))
  })
}
