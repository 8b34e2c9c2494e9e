// The way of an event from the outbox into the stream as a model: rows that become visible in any order, two publishers without a lease
// that may sleep before any step, one reader whose position is copied to the ledger, and a Redis and a ledger that go back in time.
import type { Model } from './explore.ts'

/**
 * Each protection of the publisher, by the name under which it can be left out. The last four lose no event when one of them is missing and
 * one thing goes wrong: they spare repeats, and `write-ahead` is the second line behind `unique-token`.
 */
export const protections = {
  'unique-token': 'a token is never drawn twice: no count, and not restored with the ledger',
  'script-mark': 'the script adds entries only onto the mark that the ledger expects',
  'commit-token': 'rows become published only while the token that was written ahead is still theirs',
  'unmark-first': 'rows are un-marked in the ledger before the mark is set in Redis',
  'copy-mark': "a group's position is copied only while the mark is the token that stands",
  'write-ahead': 'the batch and its token are in the ledger before Redis sees them',
  'unmark-token': 'rows are un-marked only while the ledger is as it was when the loss was seen',
  'mark-seen': 'the mark is set only if it is still what was seen',
  'copy-empty': 'an empty stream says nothing about a position',
} as const
export type Protection = keyof typeof protections

export type Size = {
  rows: number
  flushes: number
  /** Failovers to a replica that is behind, by any amount. */
  failovers: number
  crashes: number
  /** The ledger comes back from a backup. Rows that are not in it never were. */
  restores: number
  /** Unread entries beyond one of each row: publishers that wake in an unlucky order can publish again and again, so the model needs a bound. */
  spare: number
  without: Protection[]
}

export const smallest: Size = { rows: 1, flushes: 0, failovers: 0, crashes: 0, restores: 0, spare: 1, without: [] }

/** An outbox row; order counts from 1 in the order of publishing, 0 is not published; batch is the token it was written ahead under, or 0. */
type Row = { visible: boolean; order: number; batch: number }
type Ledger = { rows: Row[]; standing: number; ahead: number; nextOrder: number; position: number }
/** Entries are rows; acknowledged counts entries from the start, -1: there is no group. Mark 0 is absent. */
type Redis = { entries: number[]; mark: number; acknowledged: number }

type Publisher =
  | { phase: 'idle' }
  | { phase: 'script'; standing: number; token: number; batch: number[] }
  | { phase: 'commit'; standing: number; token: number; batch: number[] }
  | { phase: 'unmark'; standing: number; ahead: number; seen: number }
  | { phase: 'mark'; token: number; seen: number }
  | { phase: 'late'; token: number; seen: number }
/** What the copier of positions has read from Redis in one step: mark and unread rows. */
type Copier = { mark: number; unread: number[]; empty: boolean } | undefined

export type State = {
  ledger: Ledger
  nextToken: number
  redis: Redis
  publishers: Publisher[]
  copier: Copier
  seen: boolean[]
  replica: Redis | undefined
  backup: Ledger | undefined
  left: Omit<Size, 'rows' | 'spare' | 'without'>
}

export function publisher(size: Size): Model<State> {
  const has = (protection: Protection): boolean => !size.without.includes(protection)
  const initial: State = {
    ledger: {
      rows: Array.from({ length: size.rows }, () => ({ visible: false, order: 0, batch: 0 })),
      standing: 1,
      ahead: 0,
      nextOrder: 1,
      position: 0,
    },
    nextToken: 2,
    redis: { entries: [], mark: 1, acknowledged: 0 },
    publishers: [{ phase: 'idle' }, { phase: 'idle' }],
    copier: undefined,
    seen: Array(size.rows).fill(false),
    replica: undefined,
    backup: undefined,
    left: { flushes: size.flushes, failovers: size.failovers, crashes: size.crashes, restores: size.restores },
  }

  const drawToken = (n: State): number => (has('unique-token') ? n.nextToken++ : Math.max(n.ledger.standing, n.ledger.ahead) + 1)

  // ---- The ledger's statements ----

  function writeAhead(n: State, batch: number[]): Publisher {
    const token = drawToken(n)
    if (has('write-ahead')) {
      n.ledger.ahead = token
      for (const row of batch) n.ledger.rows[row]!.batch = token
    }
    return { phase: 'script', standing: n.ledger.standing, token, batch }
  }

  function commit({ ledger }: State, { standing, token, batch }: { standing: number; token: number; batch: number[] }): void {
    const ours = has('write-ahead') ? ledger.ahead === token : ledger.standing === standing
    if (has('commit-token') && !ours) return
    for (const row of batch) Object.assign(ledger.rows[row]!, { order: ledger.nextOrder++, batch: 0 })
    ledger.standing = token
    ledger.ahead = 0
  }

  /** Everything that the slowest group may not have read is to be published again. */
  function unmark({ ledger }: State, token: number): void {
    for (const row of ledger.rows) {
      if (row.order > ledger.position) row.order = 0
      row.batch = 0
    }
    ledger.ahead = 0
    ledger.standing = token
  }

  /** The publish order before the lowest unread entry. Unknown when an unread entry is not published in the ledger's eyes. */
  function copyPosition({ ledger }: State, { mark, unread, empty }: NonNullable<Copier>): void {
    if (has('copy-mark') && ledger.standing !== mark) return
    if (has('copy-empty') && empty) return
    const orders = unread.map(row => ledger.rows[row]!.order)
    if (orders.includes(0)) return
    ledger.position = Math.max(ledger.position, Math.min(ledger.nextOrder, ...orders) - 1)
  }

  // ---- A publisher ----

  function publisherSteps(s: State, k: number, add: (label: string, step: (n: State) => void) => void): void {
    const me = s.publishers[k]!
    const name = `publisher ${k}`
    const become = (n: State, next: Publisher): void => void (n.publishers[k] = next)
    const lost = (n: State, standing: number, ahead: number): void => become(n, { phase: 'unmark', standing, ahead, seen: n.redis.mark })
    if (s.left.crashes > 0 && me.phase !== 'idle')
      add(`fault: ${name} dies`, n => {
        become(n, { phase: 'idle' })
        n.left.crashes--
      })

    switch (me.phase) {
      case 'idle': {
        const { rows, standing, ahead } = s.ledger
        const due = rows.flatMap((row, at) => (row.visible && row.order === 0 && row.batch === 0 ? [at] : []))
        const batches = due.length > 1 ? [due, ...due.map(row => [row])] : due.length === 1 ? [due] : []
        if (ahead !== 0)
          add(`${name} takes up the batch that was written ahead`, n => {
            const batch = rows.flatMap((row, at) => (row.batch === ahead ? [at] : []))
            become(n, { phase: 'script', standing, token: ahead, batch })
          })
        else for (const batch of batches) add(`${name} writes rows ${batch.join()} ahead`, n => become(n, writeAhead(n, batch)))
        if (s.redis.mark !== standing && (ahead === 0 || s.redis.mark !== ahead))
          add(`${name} finds that the mark is no token of the ledger`, n => lost(n, standing, ahead))
        break
      }
      case 'script':
        if (s.redis.entries.length - Math.max(0, s.redis.acknowledged) + me.batch.length <= size.rows + size.spare)
          add(`${name} runs the script for rows ${me.batch.join()}`, n => {
            const { redis } = n
            if (has('script-mark') && redis.mark === me.token) return become(n, { ...me, phase: 'commit' })
            if (has('script-mark') && redis.mark !== me.standing) return lost(n, me.standing, has('write-ahead') ? me.token : 0)
            redis.entries.push(...me.batch)
            redis.mark = me.token
            become(n, { ...me, phase: 'commit' })
          })
        break
      case 'commit':
        add(`${name} writes rows ${me.batch.join()} as published`, n => {
          commit(n, me)
          become(n, { phase: 'idle' })
        })
        break
      case 'unmark':
        add(`${name} un-marks in the ledger`, n => {
          const { standing, ahead } = n.ledger
          if (has('unmark-token') && (standing !== me.standing || ahead !== me.ahead)) return become(n, { phase: 'idle' })
          // Left out: the mark is set to the token that stands already, and only then are the rows un-marked.
          const token = has('unmark-first') ? drawToken(n) : standing
          if (has('unmark-first')) unmark(n, token)
          become(n, { phase: 'mark', token, seen: me.seen })
        })
        break
      case 'mark':
        add(`${name} sets the mark`, n => {
          if (!has('mark-seen') || n.redis.mark === me.seen) n.redis.mark = me.token
          become(n, has('unmark-first') ? { phase: 'idle' } : { phase: 'late', token: me.token, seen: me.seen })
        })
        break
      case 'late':
        add(`${name} un-marks in the ledger, after the mark`, n => {
          unmark(n, me.token)
          become(n, { phase: 'idle' })
        })
        break
    }
  }

  // ---- The reader, the copier, and what goes wrong ----

  function next(s: State): [string, State][] {
    const ways: [string, State][] = []
    const add = (label: string, step: (n: State) => void): void => {
      const n = copy(s)
      step(n)
      ways.push([label, n])
    }
    const { redis, ledger, left } = s
    ledger.rows.forEach((row, at) => {
      if (!row.visible) add(`row ${at} commits`, n => void (n.ledger.rows[at]!.visible = true))
    })
    s.publishers.forEach((_, k) => publisherSteps(s, k, add))
    if (redis.acknowledged === -1) add('the reader creates its group at 0', n => void (n.redis.acknowledged = 0))
    const unread = redis.acknowledged === -1 ? [] : redis.entries.slice(redis.acknowledged)
    if (unread[0] !== undefined)
      add(`the reader handles row ${unread[0]}`, n => {
        n.seen[unread[0]!] = true
        n.redis.acknowledged++
      })
    if (s.copier === undefined && redis.acknowledged !== -1)
      add('the copier reads mark and position', n => void (n.copier = { mark: redis.mark, unread, empty: redis.entries.length === 0 }))
    if (s.copier !== undefined)
      add('the copier writes the position', n => {
        copyPosition(n, s.copier!)
        n.copier = undefined
      })

    if (left.flushes > 0)
      add('fault: FLUSHALL', n => {
        n.redis = { entries: [], mark: 0, acknowledged: -1 }
        n.left.flushes--
      })
    if (left.failovers > 0 && s.replica === undefined) add('fault: the replica stays behind here', n => void (n.replica = copyRedis(redis)))
    if (left.failovers > 0 && s.replica !== undefined)
      add('fault: failover to the replica', n => {
        n.redis = n.replica!
        n.replica = undefined
        n.left.failovers--
      })
    if (left.restores > 0 && s.backup === undefined) add('fault: the ledger is backed up', n => void (n.backup = copyLedger(ledger)))
    if (left.restores > 0 && s.backup !== undefined)
      add('fault: the ledger is restored, and the services with it', n => {
        n.backup!.rows.forEach((row, at) => {
          if (row.visible || !ledger.rows[at]!.visible) return
          // It never was: nothing to publish, nobody to miss it.
          Object.assign(row, { visible: true, order: -1 })
          n.seen[at] = true
        })
        n.ledger = n.backup!
        n.backup = undefined
        n.publishers = [{ phase: 'idle' }, { phase: 'idle' }]
        n.copier = undefined
        n.left.restores--
      })
    return ways
  }

  /** All is quiet, ledger and Redis agree, and yet a row that counts as published is neither read nor there to be read. */
  function violation({ ledger, redis, publishers, seen }: State): string | undefined {
    const quiet = publishers.every(me => me.phase === 'idle') && redis.mark === ledger.standing && ledger.ahead === 0
    if (!quiet) return undefined
    const unread = redis.entries.slice(Math.max(0, redis.acknowledged))
    return ledger.rows.some((row, at) => row.order > 0 && !seen[at] && !unread.includes(at)) ? 'an event is lost' : undefined
  }

  return {
    initial,
    next,
    key: keyOf,
    violation,
    done: s =>
      s.seen.every(Boolean) && s.redis.mark === s.ledger.standing && s.ledger.ahead === 0 && s.ledger.rows.every(row => row.order !== 0),
    isFault: label => label.startsWith('fault'),
  }
}

const copyLedger = (ledger: Ledger): Ledger => ({ ...ledger, rows: ledger.rows.map(row => ({ ...row })) })
const copyRedis = (redis: Redis): Redis => ({ ...redis, entries: [...redis.entries] })

function copy(s: State): State {
  return {
    ...s,
    ledger: copyLedger(s.ledger),
    redis: copyRedis(s.redis),
    publishers: [...s.publishers],
    seen: [...s.seen],
    replica: s.replica && copyRedis(s.replica),
    backup: s.backup && copyLedger(s.backup),
    left: { ...s.left },
  }
}

/** Tokens and orders are renamed by their size, the publishers are alike, and of what the reader has acknowledged only "something" is kept. */
function keyOf(s: State): string {
  const ledgers = s.backup === undefined ? [s.ledger] : [s.ledger, s.backup]
  const redises = s.replica === undefined ? [s.redis] : [s.redis, s.replica]
  const inHand = s.publishers.flatMap(me => {
    if (me.phase === 'idle') return []
    if (me.phase === 'unmark') return [me.standing, me.ahead, me.seen]
    if (me.phase === 'mark') return [me.token, me.seen]
    if (me.phase === 'late') return [me.token, me.seen]
    return [me.standing, me.token]
  })
  const token = ranking([
    ...ledgers.flatMap(l => [l.standing, l.ahead, ...l.rows.map(row => row.batch)]),
    ...redises.map(r => r.mark),
    ...inHand,
    s.copier?.mark ?? 0,
  ])
  const order = ranking(ledgers.flatMap(l => [l.position, l.nextOrder, ...l.rows.map(row => row.order)]))
  const ledger = (l: Ledger): string =>
    `${token(l.standing)}.${token(l.ahead)}.${order(l.nextOrder)}.${order(l.position)}:${l.rows.map(row => `${row.visible ? 1 : 0}${order(row.order)}.${token(row.batch)}`).join()}`
  const redis = (r: Redis): string =>
    `${r.entries.slice(Math.max(0, r.acknowledged)).join('')}.${token(r.mark)}.${r.acknowledged === -1 ? 'x' : r.entries.length > 0 ? 1 : 0}`
  const publishers = s.publishers.map(me => {
    if (me.phase === 'idle') return ''
    if (me.phase === 'unmark') return `u${token(me.standing)}.${token(me.ahead)}.${token(me.seen)}`
    if (me.phase === 'mark') return `m${token(me.token)}.${token(me.seen)}`
    if (me.phase === 'late') return `${me.phase}${token(me.token)}.${token(me.seen)}`
    return `${me.phase}${token(me.standing)}.${token(me.token)}.${me.batch.join('')}`
  })
  const copier = s.copier === undefined ? '' : `${token(s.copier.mark)}.${s.copier.empty ? 1 : 0}.${s.copier.unread.join('')}`
  const seen = s.seen.map(Number).join('')
  return [
    ...ledgers.map(ledger),
    '',
    ...redises.map(redis),
    '',
    publishers.sort().join('/'),
    copier,
    seen,
    Object.values(s.left).join(''),
  ].join('|')
}

/** Renames numbers by their size; 0 and less keep their meaning. */
function ranking(values: number[]): (value: number) => number {
  const used = [...new Set(values)].filter(value => value > 0).sort((a, b) => a - b)
  return value => (value > 0 ? used.indexOf(value) + 1 : value)
}
