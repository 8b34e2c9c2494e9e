// Reads one stream of the platform for as long as the service lives: what Redis gives at least once is in the outbox once, whoever dies, restarts or is emptied in between.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Ingest, RedisTarget } from '@dbops/contract/config-file'
import { type Failure, failureOf } from '@dbops/contract/failure'
import { firstTimes } from '@dbops/ledger/inbox'
import { moveIngest, setAsideEntries } from '@dbops/ledger/ingest'
import { isConnectionProblem, type Queryable } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import { targetUrl } from '@dbops/runtime/connection'
import { redact } from '@dbops/runtime/redact'
import type { Service } from '@dbops/runtime/service'
import { openSession } from '../session.ts'
import type { Commands } from '../task.ts'
import { ensureGroup, forgetConsumers, lowestOpen, type Place, settle } from './group.ts'
import { type Entry, type Read, readEntry, setAside } from './read-entry.ts'
import { before, isBefore } from './stream-id.ts'

const batch = 64
/** In ms. Shorter than the 5 s that a session gives any command. */
const block = 2_000
/** In ms; before a stream that is not there, or a server that does not answer, is looked for again. After one that was just read it is much less. */
const pause = 2_000
/** In ms; one line of the log for each kind of what is set aside. */
const seldom = 60_000

export interface Source {
  name: string
  config: Ingest
  target: RedisTarget
}
type Host = Pick<Service, 'config' | 'ledger' | 'log' | 'metrics' | 'name' | 'signal' | 'timers'>

/** Never throws, and ends with the service. `onTurn` is called at each round trip, and when Redis or the ledger was found away. */
export async function readStream(service: Host, source: Source, onTurn: () => void): Promise<void> {
  const { signal, log } = service
  let told = ''
  while (!signal.aborted) {
    let read = false
    try {
      await sit(service, source, () => {
        onTurn()
        read = true
        if (told) log.info({ event: 'ingest_reads', ingest: source.name }, `${source.config.stream} is read again`)
        told = ''
      })
    } catch (error) {
      if (signal.aborted) break
      const { code, message, hint } = denied(error) ?? failureOf(error)
      // Once for each reason: the same is found again every two seconds.
      if (told !== code) log.warn({ event: 'ingest_waits', ingest: source.name, code, hint }, redact(`${source.name}: ${message}`))
      told = code
    }
    onTurn()
    await sleep(read ? 100 : pause, undefined, { signal }).catch(() => undefined)
  }
}

/** A right that the user of the target lacks. */
function denied(error: unknown): Failure | undefined {
  const { message } = error as Error
  if (!message.startsWith('NOPERM')) return undefined
  return { code: 'NOPERM', message, hint: 'docs/operate/ingest.md has the ACL of a user that may read a stream' }
}

/** One connection, until it breaks, or the group is gone. */
async function sit(service: Host, { name, config, target }: Source, alive: () => void): Promise<void> {
  const { ledger, log, signal } = service
  const { stream, group } = config
  const place: Place = { name, target: config.target, stream, group }
  const session = await openSession(targetUrl(config.target, target), { name: `dbops:${ledger.installation}:ingest:${name}`, signal })
  const taker = new Taker(service, session, { name, config }, place)
  const read = async (from: string) => {
    const wait = from === '>' ? ['BLOCK', block] : []
    const args = ['GROUP', group, service.name, 'COUNT', batch, ...wait, 'STREAMS', stream, from]
    const answer = await session.command<[string, Entry[]][] | null>('XREADGROUP', ...args)
    alive()
    return answer?.[0]?.[1] ?? []
  }
  try {
    await ensureGroup(session, place, ledger, log)
    await forgetConsumers(session, place)
    // What was delivered to this process and not acknowledged: after a lost connection, or a lost reply.
    for (let mine = await read('0'); mine.length; mine = await read('0')) await taker.take(mine, 'again')
    let claimAt = 0
    while (!signal.aborted) {
      if (performance.now() > claimAt) {
        claimAt = performance.now() + service.timers.lease / 2
        await claimAbandoned(service, session, place, entries => taker.take(entries, 'again'))
      }
      await taker.take(await read('>'), 'new')
    }
  } finally {
    session.end()
  }
}

/** Takes over what a dead process of ours left pending. */
async function claimAbandoned(
  service: Host,
  redis: Commands,
  { stream, group }: Place,
  take: (entries: Entry[]) => Promise<void>,
): Promise<void> {
  let cursor = '0-0'
  do {
    const args = [stream, group, service.name, service.timers.lease * 2, cursor, 'COUNT', batch]
    const [next, entries] = await redis.command<[string, Entry[]]>('XAUTOCLAIM', ...args)
    await take(entries)
    cursor = next
  } while (cursor !== '0-0')
}

/** Entries into the ledger, in one transaction, and only then acknowledged. */
class Taker {
  private readonly service: Host
  private readonly redis: Commands
  private readonly from: { name: string; config: Ingest; environment: string }
  private readonly place: Place
  private readonly log: SeldomLog
  constructor(service: Host, redis: Commands, from: { name: string; config: Ingest }, place: Place) {
    this.service = service
    this.redis = redis
    this.from = { ...from, environment: service.config.environment }
    this.place = place
    this.log = new SeldomLog(service, from.name)
  }

  async take(entries: Entry[], how: 'new' | 'again'): Promise<void> {
    if (!entries.length) return
    const { ledger } = this.service
    const { stream, group } = this.place
    const position = how === 'new' ? await this.positionAfter(entries) : null
    const read = entries.map(entry => readEntry(entry, this.from))
    let done: Done[] = []
    let alone = false
    try {
      done = await ledger.transaction(db => this.store(db, read, position))
    } catch (error) {
      if (!isDataProblem(error)) throw error
      alone = true
      for (const entry of entries) done.push(...(await this.takeAlone(entry)))
    }
    await this.redis.command('XACK', stream, group, ...entries.map(([id]) => id))
    // What came out of order has moved nothing yet.
    if (how === 'again' || alone) await settle(this.redis, this.place, ledger)
    this.count(done)
  }

  /** After a batch that the ledger could not hold: the one entry that is to blame is set aside. */
  private async takeAlone(entry: Entry): Promise<Done[]> {
    const { ledger } = this.service
    try {
      return await ledger.transaction(db => this.store(db, [readEntry(entry, this.from)], null))
    } catch (error) {
      if (!isDataProblem(error)) throw error
      return ledger.transaction(db => this.store(db, [setAside(entry, 'not_storable', (error as Error).message)], null))
    }
  }

  private async store(db: Queryable, read: Read[], position: string | null): Promise<Done[]> {
    const { name } = this.from
    const kept = read.flatMap(one => (one.outcome === 'kept' ? [one.event] : []))
    const ids = kept.map(({ id }) => id)
    const fresh = ids.length ? await firstTimes(db, `ingest:${name}`, ids) : new Set<string>()
    const letters = read.flatMap(one => (one.outcome === 'dead_letter' ? [one.letter] : []))
    // Taken out of the set as they come, for what stands twice in one batch.
    const first = new Set(kept.filter(({ id }) => fresh.delete(id)))
    await publish(db, [...first])
    await setAsideEntries(db, name, letters)
    if (position) await moveIngest(db, name, position)
    return read.map(one => (one.outcome === 'kept' && !first.has(one.event) ? { outcome: 'seen_before' } : one))
  }

  /** The last of a new batch, when nothing before it is pending with anybody; else what is below all that is. */
  private async positionAfter(entries: Entry[]): Promise<string> {
    const last = entries.at(-1)![0]
    const open = await lowestOpen(this.redis, this.place, last)
    return isBefore(open, before(entries[0]![0])) ? open : last
  }

  private count(done: Done[]): void {
    const counter = this.service.metrics.counter(
      'dbops_ingest_entries_total',
      'entries of the platform’s streams, by what became of them',
      ['entry', 'outcome'],
    )
    for (const one of done) {
      counter.inc({ entry: this.from.name, outcome: one.outcome })
      if (one.outcome === 'dead_letter') this.log.tell(one.letter.kind, one.letter.reason, one.id)
    }
  }
}
/** `seen_before`: it is in the outbox, or was. */
type Done = Read | { outcome: 'seen_before' }

/** The value cannot be held, whoever asks: classes 22 (data exception) and 54 (a limit of the program). */
const isDataProblem = (error: unknown): boolean =>
  !isConnectionProblem(error) && /^(22|54)...$/.test((error as { code?: string }).code ?? '')

/** One line a minute for each kind, with how many there were since the last. */
class SeldomLog {
  private readonly kinds = new Map<string, { at: number; since: number }>()
  private readonly service: Host
  private readonly name: string
  constructor(service: Host, name: string) {
    this.service = service
    this.name = name
  }
  tell(kind: string, reason: string, entry: string): void {
    const known = this.kinds.get(kind) ?? { at: -Infinity, since: 0 }
    this.kinds.set(kind, known)
    known.since++
    if (performance.now() - known.at < seldom) return
    this.service.log.warn(
      { event: 'ingest_set_aside', ingest: this.name, kind, entries: known.since, entry },
      `${this.name}: ${known.since} ${known.since === 1 ? 'entry was' : 'entries were'} set aside, the last ${entry}: ${reason}`,
    )
    Object.assign(known, { at: performance.now(), since: 0 })
  }
}
