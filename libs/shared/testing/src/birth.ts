// Births with sane values for everything that a test does not speak of.
import type { Birth } from '@dbops/ledger/runs'
import { v7 as uuidv7 } from 'uuid'

export const birth = (over: Partial<Birth> = {}): Birth => ({
  id: uuidv7(),
  task: 'pg.test',
  engine: 'pg',
  lane: 'heavy',
  target: 'core',
  mode: 'do',
  cause: { kind: 'command' },
  actor: 'tester',
  operation: 'pg.test',
  spec: { params: {}, entries: {} },
  locks: [{ name: 'target', exclusive: false }],
  priority: 5,
  notBefore: new Date(0),
  validUntil: new Date(Date.now() + 3_600_000),
  attempts: 3,
  retry: 'restart',
  backoffMs: 30_000,
  timeoutMs: 600_000,
  recovers: false,
  ...over,
})
