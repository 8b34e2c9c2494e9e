// What a probe's `look` gets from the runner, for tests that take one reading: nothing was read before, and nothing is kept.
import type { Target } from '@dbops/contract/config-file'
import type { Look } from '@dbops/contract/task'

export const aLook = (target: string, config: Target, signal: AbortSignal): Look<Record<string, unknown>> => ({
  target,
  config,
  entries: { pools: {}, views: {}, purges: {}, dumps: {}, ingest: {}, schedules: {} },
  environment: 'test',
  installation: 'beef0001',
  signal,
  last: null,
  ledger: { query: () => Promise.resolve({ rows: [] }) },
  tell: () => undefined,
  find: () => undefined,
  keep: () => undefined,
})
