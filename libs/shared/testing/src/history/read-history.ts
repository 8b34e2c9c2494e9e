// Gathers what an installation left behind: rows of its ledger, its stream, its store, the effects in its targets. It knows tables and files, and none of our code.
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import type { Sources } from './asked.ts'

export interface RunRow {
  id: string
  task: string
  state: string
  mode: string
  target: string | null
  operation: string
  schedule: string | null
  slot: Date | null
  slotTo: Date | null
  slots: number
  cause: { kind: string; events?: number }
  actor: string
  parent: string | null
  attempt: number
  attempts: number
  fence: number | null
  finishedAt: Date | null
  result: unknown
}
export interface Step {
  run: string
  event: string
  attempt: number | null
  fence: number | null
  /** For the reader of a violation. */
  at?: Date
  worker?: string | null
  detail?: unknown
}
export interface Effect {
  n: number
  at: Date
  committed: Date
  app: string
  what: string
  key: string
  target: string
}
export interface Place {
  store: string
  place: string
  void: boolean
  /** Of a sealed one: files whose bytes are not what its manifest says. */
  bad: string[]
}
export interface History {
  runs: RunRow[]
  steps: Step[]
  locks: { run: string; name: string; held: boolean }[]
  outbox: {
    id: string
    event: string
    run: string | null
    ord: number | null
    subject: string
    operation: string
    at: Date
    text: string
  }[]
  inbox: { consumer: string; event: string }[]
  failures: { consumer: string; entry: string }[]
  commands: { key: string; verb: string; answer: { ok: boolean; run?: string } | null }[]
  artifacts: { id: string; run: string; fence: number; store: string; place: string }[]
  places: Place[]
  /** Files in no place that has a manifest. */
  strays: { store: string; file: string }[]
  episodes: {
    id: string
    name: string
    n: number
    state: string
    target: string | null
    operation: string
    lastAt: Date
    lastSuccessAt: Date | null
  }[]
  deliveries: { key: string; episode: string; channel: string; state: string; nth: number; status: string }[]
  decisions: { event: string }[]
  entries: { id: string; event: string | null }[]
  groups: { name: string; pending: number; behind: boolean }[]
  deadLetters: { reader: string; entry: string; reason: string }[]
  effects: Effect[]
  readers: Record<string, string[]>
  notifications: Sources['notifications']
  counts: Record<string, number>
}

const sql = {
  runs: `
    select id, task, state, mode, target, operation, schedule, slot, slot_to as "slotTo", slots, cause, actor, parent, attempt, attempts, fence::int,
      finished_at as "finishedAt", result from runs order by id`,
  steps: `select run, event, attempt, fence::int, at, worker, detail from history order by n`,
  locks: `select run, name, held from run_locks`,
  outbox: `
    select id, event, ce ->> 'runid' as run, ord::int, ce ->> 'subject' as subject, ce ->> 'operation' as operation, (ce ->> 'time')::timestamptz as at, ce::text as text
    from outbox order by n`,
  inbox: `select consumer, event from inbox`,
  failures: `select consumer, entry from inbox_failures`,
  commands: `select key, verb, answer from commands where key is not null`,
  artifacts: `select id, run, fence::int, store, place from artifacts`,
  episodes: `
    select e.id, a.name, e.n, e.state, a.target, a.operation, e.last_at as "lastAt", a.last_success_at as "lastSuccessAt" from episodes e join alerts a using (fingerprint)`,
  deliveries: `select key, episode, channel, state, nth, status from deliveries order by n`,
  deadLetters: `select reader, entry, reason from dead_letters`,
  decisions: `select distinct event from decisions where event is not null`,
}

export async function readHistory(sources: Sources): Promise<History> {
  const ledger = new Client({ connectionString: sources.ledgerUrl })
  await ledger.connect()
  await ledger.query('set search_path to dbops')
  const rows: Record<string, unknown[]> = {}
  for (const [name, text] of Object.entries(sql)) rows[name] = (await ledger.query(text)).rows
  await ledger.end()
  const redis = new Redis(sources.redisUrl, { maxRetriesPerRequest: 3 })
  const stream = await readStream(redis)
  redis.disconnect()
  const { places, strays } = await readStores(sources.stores)
  const history = {
    ...rows,
    ...stream,
    places,
    strays,
    effects: (await Promise.all(Object.entries(sources.targets).map(([name, url]) => readEffects(name, url)))).flat(),
    readers: sources.readers,
    notifications: sources.notifications,
  } as unknown as History
  history.counts = countsOf(history)
  return history
}

async function readStream(redis: Redis) {
  const name = 'dbops:events'
  const entries: History['entries'] = []
  for (let from = '-'; ; ) {
    const page = await redis.xrange(name, from, '+', 'COUNT', 1_000)
    entries.push(...page.map(([id, fields]) => ({ id, event: eventOf(fields) })))
    if (page.length < 1_000) break
    from = `(${page.at(-1)![0]}`
  }
  const last = entries.at(-1)?.id
  const found = (await redis.xinfo('GROUPS', name).catch(() => [])) as unknown[][]
  const groups = found.map(group => {
    const of = (field: string) => group[group.indexOf(field) + 1]
    return { name: String(of('name')), pending: Number(of('pending')), behind: last !== undefined && of('last-delivered-id') !== last }
  })
  return { entries, groups }
}

function eventOf(fields: string[]): string | null {
  try {
    return (JSON.parse(fields[fields.indexOf('ce') + 1]!) as { id?: string }).id ?? null
  } catch {
    return null
  }
}

async function readEffects(target: string, url: string): Promise<Effect[]> {
  const db = new Client({ connectionString: url })
  await db.connect()
  try {
    return (
      await db.query<Effect>(
        `select n::int, at, pg_xact_commit_timestamp(xmin) as committed, app, what, key, $1::text as target from chaos.effects order by n`,
        [target],
      )
    ).rows
  } finally {
    await db.end()
  }
}

async function readStores(stores: Sources['stores']) {
  const places: Place[] = []
  const strays: History['strays'] = []
  for (const [store, folder] of Object.entries(stores)) {
    const files = existsSync(folder)
      ? (readdirSync(folder, { recursive: true }) as string[]).filter(file => statSync(join(folder, file)).isFile())
      : []
    for (const file of files.filter(each => each.endsWith('/manifest.json'))) {
      const place = dirname(file)
      const manifest = JSON.parse(readFileSync(join(folder, file), 'utf8')) as { void?: boolean; files?: StoredFile[] }
      const bad: string[] = []
      for (const each of manifest.files ?? []) if (!(await isAsStated(join(folder, place, each.file), each))) bad.push(each.file)
      places.push({ store, place, void: manifest.void === true, bad })
    }
    for (const file of files)
      if (!places.some(one => one.store === store && !relative(one.place, file).startsWith('..')) && !file.startsWith('.'))
        strays.push({ store, file })
  }
  return { places, strays }
}
interface StoredFile {
  file: string
  bytes: number
  sha256: string
}
async function isAsStated(path: string, { bytes, sha256 }: StoredFile): Promise<boolean> {
  if (!existsSync(path) || statSync(path).size !== bytes) return false
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex') === sha256
}

function countsOf(h: History): Record<string, number> {
  const byState: Record<string, number> = {}
  for (const run of h.runs) byState[`runs ${run.state}`] = (byState[`runs ${run.state}`] ?? 0) + 1
  return {
    slots: h.runs.filter(run => run.slot).reduce((sum, run) => sum + run.slots, 0),
    runs: h.runs.length,
    ...byState,
    attempts: h.steps.filter(step => step.event === 'claimed').length,
    'attempts lost': h.steps.filter(step => step.event === 'lost').length,
    commands: h.commands.length,
    events: h.outbox.length,
    'entries on the stream': h.entries.length,
    effects: h.effects.length,
    backups: h.artifacts.length,
    episodes: h.episodes.length,
    notifications: h.deliveries.length,
    'requests to the receiver': h.notifications.length,
    'dead letters': h.deadLetters.length,
  }
}
