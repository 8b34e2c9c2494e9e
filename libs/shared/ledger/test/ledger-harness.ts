// A ledger of its own for a test file, with two targets.
import { openLedger } from '@dbops/ledger/ledger'
import { type Birth, bear } from '@dbops/ledger/runs'
import { saveTargets } from '@dbops/ledger/schedules'
import { birth } from '@dbops/testing/birth'
import { freshDatabase } from '@dbops/testing/database'

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

/** Bears runs one after the other, and returns their ids. */
export async function bearAll(ledger: TestLedger, ...some: Partial<Birth>[]): Promise<string[]> {
  const all = some.map(birth)
  for (const one of all) await bear(ledger, one)
  return all.map(one => one.id)
}
