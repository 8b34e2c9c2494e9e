// What the relay's tests share: a ledger of their own, events as maintainers tell them, and rules as a file would give them.
import { randomUUID } from 'node:crypto'
import { configFile } from '@dbops/contract/config-file'
import { type Envelope, toEnvelope } from '@dbops/contract/envelope'
import type { SignalName } from '@dbops/contract/signals'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { freshDatabase, templateDatabase } from '@dbops/testing/database'
import { handleEvent } from '../src/handle-event.ts'
import { lookAgain } from '../src/look-again.ts'
import type { Rules } from '../src/routes.ts'

/** A point of a made-up day: `at('05:00')`, `at('05:00:30')`. */
export const at = (time: string) => new Date(`2026-03-01T${time.length === 5 ? `${time}:00` : time}Z`)

export interface Said {
  at: string
  event?: SignalName
  target?: string
  operation?: string
  data?: Record<string, unknown>
}

/** An event of the dump `metadata` on `pg/core`, unless it says otherwise. */
export function event(said: Said): Envelope {
  const { event = 'backup_failed', target = 'pg/core', operation = 'pg.dump:metadata', data = {} } = said
  return toEnvelope({
    id: randomUUID(),
    app: 'pg-maintainer',
    event,
    subject: target,
    environment: 'test',
    operation,
    at: at(said.at),
    runId: '01900000-0000-7000-8000-0000deadbeef',
    data: event.includes('_connection_') ? { ...probe, ...data } : { ...run, ...data },
  })
}
const run = {
  task: 'pg.dump',
  state: 'failed',
  attempt: 1,
  mode: 'do',
  schedule: null,
  slot: null,
  startedAt: null,
  finishedAt: null,
  result: null,
  error: { code: 'ENOSPC', message: 'the store is full', hint: 'make room in it' },
  lastGood: { id: '01900000-0000-7000-8000-00000000900d', createdAt: '2026-02-01T05:00:00Z', location: 'file:///backups/x' },
}
const probe = {
  probe: 'pg.health',
  state: 'failed',
  since: '2026-03-01T05:00:00Z',
  error: { code: 'ECONNREFUSED', message: 'nobody listens' },
  result: null,
}

export const rules = (alerts: object = toOps, targets: object = {}): Rules => configFile.parse({ targets, alerts })
const toOps = {
  channels: { ops: { type: 'console' } },
  routes: [{ match: { severity: ['error', 'critical'] }, to: ['ops'], repeat: '4h' }],
}

export interface Bench {
  /** Of the ledger's database. */
  url: string
  ledger: Ledger
  /** Handles an event that happened at `said.at` at the same time, or at `now`. */
  hear(said: Said, now?: string, by?: Rules): Promise<string[]>
  look(now: string, by?: Rules): Promise<string[]>
  /** The notifications written so far, in order: `ops firing 0`. */
  written(): Promise<string[]>
  /** Forgets everything: cheaper than a database for each test. */
  reset(): Promise<void>
  close(): Promise<void>
}

export async function openBench(): Promise<Bench> {
  const template = await templateDatabase('relay_ledger', async url => (await openLedger({ url, name: 'template' })).close())
  const database = await freshDatabase({ template })
  const ledger = await openLedger({ url: database.url, name: 'test', sessions: 4, migrations: 'expect' })
  return {
    url: database.url,
    ledger,
    hear: (said, now = said.at, by = rules()) => ledger.transaction(db => handleEvent(db, event(said), by, at(now))),
    look: (now, by = rules()) => ledger.transaction(db => lookAgain(db, by, at(now))),
    written: async () =>
      (await ledger.query<{ line: string }>(`select channel || ' ' || state || ' ' || nth as line from deliveries order by n`)).rows.map(
        row => row.line,
      ),
    reset: async () => void (await ledger.query('truncate alerts, episodes, decisions, deliveries, inbox, outbox')),
    async close() {
      await ledger.close()
      await database.drop()
    },
  }
}
