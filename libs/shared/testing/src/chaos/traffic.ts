// What an installation lives through on an ordinary day, in short: rows that expire, commands of people who are not sure and ask again, events of the platform.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, ask } from '@dbops/ledger/commands'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import type { Asked } from '../history/asked.ts'
import { startProxy } from '../proxy.ts'
import type { Installation } from './installation.ts'
import { newTask } from './newer-version.ts'
import type { Random } from './random.ts'

export interface Traffic {
  commands: Asked['commands']
  platformEvents: string[]
  /** The way of the people to the ledger: faults of theirs. */
  proxy: Awaited<ReturnType<typeof startProxy>>
  /** Ends it; what was asked and not answered is asked until it is. */
  stop(): Promise<void>
}

export async function startTraffic(at: Installation, random: Random): Promise<Traffic> {
  const stopping = new AbortController()
  const target = new Client(at.targetUrl)
  await target.connect()
  const platform = new Redis(at.platformUrl, { maxRetriesPerRequest: null })
  platform.on('error', () => undefined)
  const proxy = await startProxy(at.ledgerUrl)
  const ledger = await openLedger({ url: proxy.url, name: 'chaos', sessions: 4 })
  const commands: Asked['commands'] = []
  const platformEvents: string[] = []

  const loop = async (every: number, turn: () => Promise<void>) => {
    while (!stopping.signal.aborted) {
      await turn()
      await sleep(every, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }
  const running = [
    loop(250, async () => {
      // Old in ten seconds: what comes is never past the cut-off of a purge that is at work already.
      for (const table of ['a', 'b'])
        await target.query(`insert into chaos.${table} (at, body) select now() - interval '50 s', 'old' from generate_series(1, 8)`)
    }),
    loop(1_500, async () => {
      const id = randomUUID()
      await platform.xadd('axiom:events', '*', ...entryOf(id))
      platformEvents.push(id)
    }),
    loop(1_000, async () => void commands.push(await askUntilAnswered(ledger, random, commands))),
  ]
  return {
    commands,
    platformEvents,
    proxy,
    async stop() {
      stopping.abort()
      await Promise.all(running)
      await target.end()
      platform.disconnect()
      await ledger.close()
      await proxy.close()
    },
  }
}

const entryOf = (id: string) => [
  'event_type',
  'data_registered',
  'event_id',
  id,
  'created_at',
  new Date().toISOString(),
  'payload',
  JSON.stringify({ rows: 1 }),
]

/** One person with one wish, who asks once to three times at once, and again whenever nobody answered. */
async function askUntilAnswered(ledger: Ledger, random: Random, before: Asked['commands']): Promise<Asked['commands'][number]> {
  const key = randomUUID()
  const old = before.filter(one => one.run)
  const again = old.length && random.chance(0.3) ? random.oneOf(old).run : undefined
  const wish = again
    ? { verb: random.oneOf(['cancel', 'retry'] as const), body: { run: again } }
    : { verb: 'run' as const, body: random.oneOf(wishes) }
  let sent = 0
  for (;;) {
    const times = random.between(1, 3)
    sent += times
    const answers = await Promise.allSettled(Array.from({ length: times }, () => ask(ledger, { ...wish, actor: 'chaos', key }, 5_000)))
    const given = answers.flatMap(one => (one.status === 'fulfilled' ? [one.value as Answer & { run?: string }] : []))
    if (!given.length) {
      await sleep(500)
      continue
    }
    const runs = [...new Set(given.map(one => one.run ?? null))]
    return { verb: wish.verb, key, sent, accepted: given.some(one => one.ok), run: runs[0] ?? null, answers: runs.length }
  }
}

const wishes = [
  { task: 'pg.analyze', target: 'core', params: { tables: ['chaos.b'] } },
  { task: 'pg.vacuum', target: 'core', params: { tables: ['chaos.b'] } },
  { task: 'pg.purge', params: { policy: 'a' } },
  { task: 'pg.dump', params: { dump: 'rows' } },
  { task: newTask, target: 'core', params: { tables: ['chaos.a'] } },
]
