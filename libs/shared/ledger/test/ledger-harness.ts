// A ledger of its own for a test file, and births with sane values for everything that a test does not speak of.
import { openLedger } from '@dbops/ledger/ledger'
import { type Birth, bear } from '@dbops/ledger/runs'
import { saveTargets } from '@dbops/ledger/schedules'
import { freshDatabase } from '@dbops/testing/database'
import { v7 as uuidv7 } from 'uuid'

export async function freshLedger() {
  const database = await freshDatabase()
  const ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  await saveTargets(ledger, [
    { name: 'core', engine: 'pg', heavy: 2, light: 4, labels: {} },
    { name: 'other', engine: 'pg', heavy: 2, light: 4, labels: {} },
  ])
  const close = async () => {
    await ledger.close()
    await database.drop()
  }
  return { ledger, url: database.url, close }
}
export type TestLedger = Awaited<ReturnType<typeof freshLedger>>['ledger']

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

/** Bears runs one after the other, and returns their ids. */
export async function bearAll(ledger: TestLedger, ...some: Partial<Birth>[]): Promise<string[]> {
  const all = some.map(birth)
  for (const one of all) await bear(ledger, one)
  return all.map(one => one.id)
}
