// Reports: of the newest run of a task that succeeded, or of a certain one, with the findings that stand.
import { renameSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { listFindings } from '@dbops/ledger/findings'
import type { Ledger } from '@dbops/ledger/ledger'
import { newestSucceeded, type Run } from '@dbops/ledger/runs'
import { toHtml } from '@dbops/report/html'
import { toMarkdown } from '@dbops/report/markdown'
import type { Language } from '@dbops/report/report'
import { reports } from '@dbops/report/reports'
import type { Context } from './command.ts'
import { Failed } from './fail.ts'
import { past } from './moment.ts'
import { shortId } from './print.ts'
import { findRun } from './runs/find-run.ts'

export async function report(c: Context): Promise<void> {
  const { args, options, print } = c
  const { ledger, environment } = await c.connect()
  const task = args[0] as string | undefined
  if (task === undefined && options['run'] === undefined) return list(c, ledger, environment)
  const run = await runMeant(ledger, task, options)
  const build = reports[run.task]!
  // Findings are those of now: an older report would show what is long gone, or does not stand yet.
  const findings = (await listFindings(ledger, { limit: 1_000, state: 'standing', ...(run.target ? { target: run.target } : {}) }))
    .filter(({ source }) => source === run.operation)
    .map(({ id, level, what, hint }) => ({ id, level, what, hint }))
  const source = { task: run.task, target: run.target, run: run.id, at: run.finishedAt!, result: run.result!, findings }
  const made = build(source, options['lang'] as Language)
  const files = [
    ['html', toHtml],
    ['markdown', toMarkdown],
  ] as const
  const written = files.flatMap(([option, write]) => {
    const file = options[option] as string | undefined
    return file === undefined ? [] : [keep(file, write(made))]
  })
  print.record({ ...source, files: written })
  if (print.json) return
  for (const file of written) print.line(`wrote ${file}`)
  if (!written.length) print.line(toMarkdown(made, { plain: process.stdout.isTTY }).trimEnd())
}

/** Errors: Failed with 2 where no such report is made, with 1 where there is no such run yet. */
async function runMeant(ledger: Ledger, task: string | undefined, options: Context['options']): Promise<Run> {
  const reported = Object.keys(reports)
  const known = reported.join(', ')
  if (task !== undefined && !reports[task])
    throw new Failed('wrong', `"${task}" has no report`, { code: 'no_report', hint: `there is one of ${known}` })
  const id = options['run'] as string | undefined
  const target = options['target'] as string | undefined
  const run = id === undefined ? await newestSucceeded(ledger, task!, target) : await findRun(ledger, id)
  if (!run)
    throw new Failed('failed', `${task} has not succeeded yet${target === undefined ? '' : ` on ${target}`}`, {
      code: 'no_run',
      hint: `./dbops run ${task} --wait, or ./dbops runs for what became of it`,
    })
  if (!reports[run.task] || (task !== undefined && task !== run.task))
    throw new Failed('wrong', `run ${shortId(run.id)} is one of ${run.task}`, { code: 'no_report', hint: `there is a report of ${known}` })
  if (run.state !== 'succeeded' || !run.result)
    throw new Failed('failed', `run ${shortId(run.id)} is ${run.state}: it has no result`, {
      code: 'no_result',
      hint: `./dbops runs show ${shortId(run.id)}`,
    })
  return run
}

async function list({ print }: Context, ledger: Ledger, environment: string | undefined): Promise<void> {
  const now = await ledger.now()
  const rows = await Promise.all(
    Object.keys(reports).map(async task => {
      const run = await newestSucceeded(ledger, task)
      return { task, target: run?.target ?? null, run: run?.id ?? null, at: run?.finishedAt ?? null }
    }),
  )
  print.environment(environment)
  print.rows(
    rows,
    [
      { head: 'report', of: r => r.task, colour: () => 'bold' },
      { head: 'target', of: r => r.target ?? '' },
      { head: 'run', of: r => (r.run ? shortId(r.run) : '') },
      { head: 'last', of: r => (r.at ? past(r.at, now) : 'never') },
    ],
    'no task has a report',
  )
}

/** Whole or not at all: a reader never meets half a page. */
function keep(file: string, text: string): string {
  const path = resolve(file)
  const beside = `${path}.${process.pid}.part`
  try {
    writeFileSync(beside, text)
    renameSync(beside, path)
  } catch (error) {
    throw new Failed('wrong', `${path} cannot be written: ${(error as Error).message}`, {
      code: 'not_written',
      hint: `is ${dirname(path)} there, and may you write in it?`,
    })
  }
  return path
}
