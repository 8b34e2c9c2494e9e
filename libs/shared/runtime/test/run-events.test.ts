// Which event tells the bad end of a run: whether it opens an alert.
import type { FinalState, Run } from '@dbops/ledger/runs'
import { expect, test } from 'vitest'
import { badEndOf } from '../src/run-events.ts'

const tables = { tables: ['core.typo'] }

test.each<[what: string, task: string, params: Record<string, unknown>, cause: string, was: Run['state'], end: FinalState, told: string]>([
  ["a command in a person's own words", 'pg.vacuum', tables, 'command', 'running', 'refused', 'run_refused'],
  ['such a command, asked again', 'pg.vacuum', tables, 'retry', 'running', 'refused', 'run_refused'],
  ['such a command that fails', 'pg.vacuum', tables, 'command', 'running', 'failed', 'vacuum_failed'],
  ['a command of what is configured', 'pg.dump', { dump: 'metadata' }, 'command', 'running', 'refused', 'backup_failed'],
  ['a command without a word, which is what a schedule says', 'pg.vacuum', {}, 'command', 'running', 'refused', 'vacuum_failed'],
  ['a slot of a schedule', 'pg.vacuum', tables, 'schedule', 'running', 'refused', 'vacuum_failed'],
  ['a run that waits for an approval', 'pg.vacuum-full', tables, 'command', 'awaiting_approval', 'refused', 'run_refused'],
  [
    'a scheduled one that waits for an approval',
    'pg.dump',
    { dump: 'metadata' },
    'schedule',
    'awaiting_approval',
    'refused',
    'run_refused',
  ],
  ['what a person cancelled', 'pg.vacuum', tables, 'command', 'running', 'cancelled', 'run_cancelled'],
  ['a task that is not there any more', 'pg.gone', tables, 'schedule', 'queued', 'timed_out', 'run_failed'],
])('%s', (_, task, params, cause, was, end, told) => {
  const run = { task, spec: { params }, cause: { kind: cause }, state: was } as Run
  expect(badEndOf(run, end)).toBe(told)
})
