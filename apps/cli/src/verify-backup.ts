// Restores one backup by the task for it, waits for the verdict and tells it; before that, the lines that do the same without this system.
import { taskNamed } from '@dbops/catalog/catalog'
import { findArtifact } from '@dbops/ledger/artifacts'
import { tellRestore } from './backups.ts'
import type { Context } from './command.ts'
import { Failed } from './fail.ts'
import { past } from './moment.ts'
import { shortId } from './print.ts'
import { type Report, tellReport } from './restore-report.ts'
import { findOne } from './runs/find-run.ts'
import { runRecord } from './runs/run-record.ts'
import { askFor, endOf, exitOfRun, waitingOf } from './runs/start-run.ts'

/** The task that restores a kind of backup, and its parameter that names the entry of the configuration. */
const checkers: Record<string, { task: string; entry: string }> = { dump: { task: 'pg.restore-check', entry: 'dump' } }

/** Exit 0 only for a pass. Errors: Failed with 2 for a backup of a kind that nothing here can restore. */
export async function verifyBackup(c: Context): Promise<number> {
  const { args, options, print } = c
  const { within } = waitingOf(options)
  const connection = await c.connect()
  const { ledger, environment } = connection
  const found = await findOne('backup', args[0] as string, './dbops backups', id => findArtifact(ledger, id))
  const checker = checkers[found.kind]
  const task = checker && taskNamed(checker.task)
  if (!task)
    throw new Failed('wrong', `nothing here restores a backup of the kind ${found.kind}`, {
      code: 'not_restorable',
      hint: `by hand: ./dbops backups show ${shortId(found.id)}`,
    })
  const { restore } = found.manifest as { restore?: string[] }
  print.environment(environment)
  print.line(
    `backup ${print.colour('bold', shortId(found.id))}  ${found.kind} ${found.name} of ${found.target}, ${past(found.createdAt, await ledger.now())}`,
  )
  tellRestore(print, found, restore)
  print.line()
  const params = { [checker.entry]: found.name, backup: found.id, ...(options['mutate'] ? { mutate: true } : {}) }
  const run = await askFor(connection, { verb: 'run', body: { task: task.name, params, mode: 'do' } })
  print.line(print.colour('dim', `run ${shortId(run.id)} restores it into a throw-away server and checks it`))
  const ended = await endOf(c, ledger, run, within)
  print.record(runRecord(ended))
  if (ended.result) tellReport(print, ended.result as unknown as Report)
  return exitOfRun(c, ended)
}
