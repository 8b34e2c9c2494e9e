// Faults as values: what goes wrong, when, for how long and to whom. A list of them is drawn from a seed, can be printed, and does the same again.
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import type { Ground, Managed, ServerName } from './ground.ts'
import { type Random, randomFrom } from './random.ts'

/** Milliseconds since the beginning, and from its coming to its going. `who` is a process, `server` its way to a server. */
export interface Fault {
  kind: Kind
  at: number
  lasts: number
  who?: string
  server?: ServerName
  /** What a kind needs beside: a size, a word, a number of ms. */
  with?: string | number
}
type Undo = () => Promise<void> | void
interface FaultKind {
  weight: number
  lasts: [from: number, to: number]
  /** Two of one group are never at the same time. */
  alone?: 'ledger' | 'redis' | 'store' | 'sink' | 'reader' | 'partition'
  draw?(random: Random, names: Names): Partial<Fault>
  apply(fault: Fault, ground: Ground): Promise<Undo | void> | Undo | void
}
type Names = { processes: { name: string; servers: ServerName[] }[] }

/** Whoever carries out work, as often as all others together: there is the most to lose. */
const oneProcess = (random: Random, { processes }: Names) =>
  random.oneOf(random.chance(0.5) ? processes.filter(({ servers }) => servers.includes('target')) : processes)
const anybody = (random: Random, names: Names) => ({ who: oneProcess(random, names).name })
const someWay = (random: Random, names: Names) => {
  const { name, servers } = oneProcess(random, names)
  return { who: name, server: random.oneOf(servers) }
}
const stream = 'dbops:events'

// Of the process's own timers: heartbeat 0.5 s, lease 3 s. `stop-long` outlasts a lease, `stop-short` does not.
const kinds = {
  kill: { weight: 8, lasts: [0, 0], draw: anybody, apply: (f, g) => named(g, f).signal('SIGKILL') },
  'stop-long': { weight: 5, lasts: [4_000, 9_000], draw: anybody, apply: stopAndGoOn },
  'stop-short': { weight: 3, lasts: [300, 2_000], draw: anybody, apply: stopAndGoOn },
  restart: { weight: 4, lasts: [0, 0], draw: anybody, apply: async (f, g) => void (await named(g, f).restart()) },
  'restart-all': {
    weight: 1,
    lasts: [0, 0],
    apply: async (_, g) => {
      for (const each of g.processes) await each.restart()
    },
  },
  // A rolling update that stands still half-way, and is taken back: two catalogues at work side by side.
  'other-version': {
    weight: 3,
    lasts: [6_000, 15_000],
    draw: anybody,
    async apply(f, g) {
      await named(g, f).restart('newer')
      return async () => void (await named(g, f).restart('own'))
    },
  },
  cut: { weight: 6, lasts: [0, 0], draw: someWay, apply: (f, g) => way(g, f)?.cut() },
  'black-hole': {
    weight: 5,
    lasts: [1_000, 9_000],
    draw: someWay,
    apply(f, g) {
      way(g, f)?.freeze()
      return () => way(g, f)?.thaw()
    },
  },
  // Loses its target first, takes up work all the same, loses all else, and has the target back first: just before it would give up connecting, and long after its lease.
  partition: {
    weight: 4,
    lasts: [8_500, 9_500],
    alone: 'partition', // somebody must be there to take over
    draw: (random, { processes }) => ({ who: random.oneOf(processes.filter(({ servers }) => servers.includes('target'))).name }),
    async apply(f, g) {
      const [target, ...others] = (['target', 'ledger', 'redis'] as const).map(server => named(g, f).proxy(server))
      target?.freeze()
      await sleep(2_500)
      for (const each of others) each?.freeze()
      return async () => {
        target?.thaw()
        await sleep(2_000)
        for (const each of others) each?.thaw()
      }
    },
  },
  'reader-sleeps': {
    weight: 2,
    lasts: [2_000, 8_000],
    alone: 'reader',
    apply(_, g) {
      g.reader.signal('SIGSTOP')
      return () => g.reader.signal('SIGCONT')
    },
  },
  forget: { weight: 2, lasts: [0, 0], draw: someWay, apply: (f, g) => way(g, f)?.forget() },
  delay: {
    weight: 4,
    lasts: [2_000, 8_000],
    draw: (random, names) => ({ ...someWay(random, names), with: random.oneOf([20, 100, 400]) }),
    apply(f, g) {
      way(g, f)?.delay(Number(f.with))
      return () => way(g, f)?.delay(0)
    },
  },
  // The server does it, and the answer never comes: of a claim, an end, a birth, a batch of events.
  'lost-reply': {
    weight: 6,
    lasts: [4_000, 4_000],
    draw: random =>
      random.oneOf([
        { who: `pg-maintainer-${random.between(1, 2)}`, server: 'ledger', with: 'commit' },
        { who: `scheduler-${random.between(1, 2)}`, server: 'ledger', with: 'commit' },
        { who: `alert-relay-${random.between(1, 2)}`, server: 'ledger', with: 'commit' },
        { who: `scheduler-${random.between(1, 2)}`, server: 'redis', with: 'evalsha' },
        { who: `alert-relay-${random.between(1, 2)}`, server: 'redis', with: 'xack' },
      ] as const),
    apply(f, g) {
      const trap = way(g, f)?.loseReplyTo(String(f.with))
      return () => trap?.disarm()
    },
  },
  flushall: {
    weight: 3,
    lasts: [0, 0],
    alone: 'redis',
    apply: async (_, g) => void (await g.redisClient.flushall().catch(() => undefined)),
  },
  'redis-restarted': { weight: 2, lasts: [500, 5_000], alone: 'redis', apply: redisAway('orderly', 'its own') },
  'redis-killed': { weight: 2, lasts: [500, 5_000], alone: 'redis', apply: redisAway('killed', 'its own') },
  'redis-empty': { weight: 2, lasts: [500, 3_000], alone: 'redis', apply: redisAway('killed', 'none') },
  'redis-older': {
    weight: 2,
    lasts: [6_000, 10_000],
    alone: 'redis',
    // The copy is from when the fault comes; what was written meanwhile is not in it.
    async apply(f, g) {
      await g.redis.keep()
      return () => redisAway('killed', 'older')(f, g).then(start => start())
    },
  },
  'ledger-restarted': { weight: 2, lasts: [200, 1_500], alone: 'ledger', apply: ledgerAway('fast') },
  'ledger-crashed': { weight: 2, lasts: [200, 1_500], alone: 'ledger', apply: ledgerAway('immediate') },
  'ledger-away': { weight: 1, lasts: [4_500, 8_000], alone: 'ledger', apply: ledgerAway('fast') },
  'store-full': {
    weight: 2,
    lasts: [4_000, 12_000],
    alone: 'store',
    async apply(_, g) {
      await g.store.fill()
      return () => g.store.free()
    },
  },
  clock: {
    weight: 3,
    lasts: [3_000, 9_000],
    draw: (random, names) => ({ ...anybody(random, names), with: random.oneOf([-3_600_000, -5_000, 5_000, 3_600_000]) }),
    apply(f, g) {
      named(g, f).stepClock(Number(f.with))
      return () => named(g, f).stepClock(0)
    },
  },
  'job-deleted': {
    weight: 3,
    lasts: [0, 0],
    draw: random => ({ with: random.oneOf(['jobs', 'locks', 'queues']) }),
    apply: async (f, g) => deleteJobs(String(f.with), g),
  },
  duplicate: { weight: 4, lasts: [0, 0], apply: (_, g) => repeatEntries(g) },
  poison: {
    weight: 3,
    lasts: [0, 0],
    draw: random => ({ with: random.oneOf(Object.keys(poisons)) }),
    apply: (f, g) => addPoison(String(f.with), g),
  },
  sink: {
    weight: 3,
    lasts: [2_000, 8_000],
    alone: 'sink',
    draw: random => ({ with: random.oneOf(['failing', 'limiting', 'silent', 'breaking']) }),
    apply(f, g) {
      g.sink.be(f.with as 'failing')
      return () => g.sink.be('well')
    },
  },
} satisfies Record<string, FaultKind>
export type Kind = keyof typeof kinds
export const faultKinds = Object.keys(kinds) as Kind[]

/** The same seed, the same list. The last ones are over `quiet` ms before the end. */
export function planFaults(o: {
  seed: number
  duration: number
  every: number
  without: string[]
  only?: string[]
  names: Names
  quiet?: number
}): Fault[] {
  const { seed, duration, every, names, only = faultKinds, quiet = 5_000 } = o
  const random = randomFrom(seed)
  const possible = faultKinds.filter(kind => !o.without.includes(kind) && only.includes(kind))
  const urn = possible.flatMap(kind => Array.from({ length: kinds[kind].weight }, () => kind))
  const faults: Fault[] = []
  for (let at = 3_000; at < duration - quiet; at += Math.round(every * (0.3 + 1.4 * random.next()))) {
    const kind = random.oneOf(urn)
    const { lasts, alone, draw } = kinds[kind] as FaultKind
    const fault: Fault = { kind, at, lasts: random.between(...lasts), ...draw?.(random, names) }
    const isAlone = !alone || !faults.some(other => (kinds[other.kind] as FaultKind).alone === alone && at < other.at + other.lasts + 1_500)
    if (isAlone && at + fault.lasts < duration - quiet) faults.push(fault)
  }
  return faults
}

/** Comes over the installation and, after its time, goes again. */
export async function applyFault(fault: Fault, ground: Ground): Promise<void> {
  const begun = performance.now()
  const undo = await (kinds[fault.kind] as FaultKind).apply(fault, ground)
  if (fault.lasts) await sleep(Math.max(0, fault.lasts - (performance.now() - begun)))
  await undo?.()
}

export const describeFault = ({ kind, at, lasts, who, server, with: what }: Fault) =>
  `${(at / 1_000).toFixed(1).padStart(6)} s  ${[kind, who, server && `to ${server}`, what, lasts && `for ${(lasts / 1_000).toFixed(1)} s`].filter(Boolean).join(' ')}`

function named(ground: Ground, { who }: Fault): Managed {
  const found = ground.processes.find(one => one.name === who)
  if (!found) throw new Error(`there is no process ${who}`)
  return found
}
const way = (ground: Ground, fault: Fault) => (fault.server ? named(ground, fault).proxy(fault.server) : null)

function stopAndGoOn(fault: Fault, ground: Ground): Undo {
  const one = named(ground, fault)
  one.signal('SIGSTOP')
  return () => one.signal('SIGCONT')
}
function redisAway(how: 'orderly' | 'killed', file: 'its own' | 'none' | 'older') {
  return async (_: Fault, g: Ground): Promise<() => Promise<void>> => {
    await g.redis.stop(how)
    return () => g.redis.start(file)
  }
}
function ledgerAway(how: 'fast' | 'immediate') {
  return async (_: Fault, g: Ground): Promise<Undo> => {
    await g.ledger.stop(how)
    return () => g.ledger.start()
  }
}

/** BullMQ's keys, as somebody with redis-cli would delete them. */
async function deleteJobs(which: string, { redisClient }: Ground): Promise<void> {
  const keys = await redisClient.keys('{dbops}:*').catch(() => [])
  const isJob = (key: string) => /:[0-9a-f-]{36}-\d+$/.test(key)
  const isLock = (key: string) => key.endsWith(':lock')
  const doomed = keys.filter(key => (which === 'jobs' ? isJob(key) : which === 'locks' ? isLock(key) : !isJob(key) && !isLock(key)))
  if (doomed.length) await redisClient.del(...doomed).catch(() => undefined)
}

/** The newest entries once more, under new ids: what a publisher whose reply was lost may do. */
async function repeatEntries({ redisClient, notePoison }: Ground): Promise<void> {
  const entries = await redisClient.xrevrange(stream, '+', '-', 'COUNT', 5).catch(() => [])
  for (const [, fields] of entries.reverse()) {
    const entryId = await redisClient.xadd(stream, '*', ...fields).catch(() => null)
    const reason = poisonedWith.get(fields.join())
    if (entryId && reason) notePoison({ stream, entryId, reason })
  }
}

const envelopeOf = (over: object) =>
  JSON.stringify({
    specversion: '1.0',
    id: uuidv7(),
    source: '/dbops/pg-maintainer',
    type: 'io.axiom.dbops.backup_failed.v1',
    subject: 'pg/core',
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    severity: 'critical',
    environment: 'chaos',
    operation: 'pg.dump:poison',
    data: {},
    ...over,
  })
/** What is no event, in the ways in which it is none, with the reason that a dead letter of it gives. */
const poisons: Record<string, { fields: () => string[]; reason: RegExp }> = {
  'no field': { fields: () => ['x', '1'], reason: /no field "ce"/ },
  'no JSON': { fields: () => ['ce', '{"id": '], reason: /no JSON/ },
  'no event': { fields: () => ['ce', '{"hello": "world"}'], reason: /no event/ },
  'wrong data': { fields: () => ['ce', envelopeOf({ data: { task: 7 } })], reason: /its data is not/ },
  oversize: { fields: () => ['ce', 'x'.repeat(1_100_000)], reason: /larger than/ },
}
/** What was put in, whose copies are poison too. */
const poisonedWith = new Map<string, string>()
async function addPoison(which: string, ground: Ground): Promise<void> {
  const { fields: make, reason } = poisons[which]!
  const fields = make()
  poisonedWith.set(fields.join(), reason.source)
  const entryId = await ground.redisClient.xadd(stream, '*', ...fields).catch(() => null)
  if (entryId) ground.notePoison({ stream, entryId, reason: reason.source })
}
