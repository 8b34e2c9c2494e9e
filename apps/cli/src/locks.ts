// The waits for locks of the last reading of pg.locks as a tree: at its root whoever holds up all below.
import { formatDuration } from '@dbops/contract/duration'
import { listReadings, type ReadingRow } from '@dbops/ledger/probes'
import { listTargets } from '@dbops/ledger/schedules'
import type { Context } from './command.ts'
import { Failed } from './fail.ts'
import { past } from './moment.ts'
import { ago, cut, type Print } from './print.ts'
import { room } from './runs/start-run.ts'
import { mustBeTarget } from './targets.ts'

const probe = 'pg.locks'

interface Session {
  pid: number
  role: string | null
  application: string
  kind: string | null
  state: string | null
  query: string | null
}
interface Root extends Session {
  transactionSeconds: number | null
  waiters: number
  longestWaitSeconds: number
}
interface Wait extends Session {
  waitSeconds: number
  mode: string
  on: string
  blockedBy: number[]
}
/** As the probe declares it; a reading of another version may have less. */
interface Tree {
  waiting: number
  roots: Root[]
  waits: Wait[]
}

export async function locks({ options, print, connect }: Context): Promise<void> {
  const target = options['target'] as string | undefined
  const { ledger, environment } = await connect()
  if (target !== undefined) {
    await mustBeTarget(ledger, target)
    const { engine } = (await listTargets(ledger)).find(({ name }) => name === target)!
    if (engine !== 'pg')
      throw new Failed('wrong', `${target} is of engine ${engine}, where nobody waits for a lock: ${probe} looks at PostgreSQL`, {
        code: 'bad_target',
        hint: 'what our own runs wait for: ./dbops runs --state queued',
      })
  }
  const now = await ledger.now()
  const readings = (await listReadings(ledger)).filter(one => one.probe === probe && (target === undefined || one.target === target))
  print.environment(environment)
  for (const reading of readings) {
    print.record({ target: reading.target, state: reading.state, at: reading.at, error: reading.error, ...reading.result })
    tell(print, reading, now)
  }
  if (!readings.length) print.line('no lock was ever looked at: is there a target of engine pg, and a pg-maintainer? ./dbops workers')
}

function tell(print: Print, { target, state, since, at, error, result }: ReadingRow, now: Date): void {
  const tree = result as unknown as Tree | null
  const age = print.colour('dim', `read ${ago(at, now)} ago`)
  if (state === 'failed')
    print.line(print.colour('red', `${target}: since ${past(since, now)} it cannot be read: ${error?.message ?? 'no reason was told'}`))
  if (!tree) return
  if (!tree.waiting) return print.line(`${print.colour('bold', target)}: nobody waits for a lock  ${age}`)
  print.line(`${print.colour('bold', target)}: ${tree.waiting === 1 ? '1 session waits' : `${tree.waiting} sessions wait`}  ${age}`)
  for (const root of tree.roots) {
    const open = root.transactionSeconds === null ? '' : `, its transaction open for ${seconds(root.transactionSeconds)}`
    print.line(`${print.colour('red', who(root))}${open}; holds up ${root.waiters}, for up to ${seconds(root.longestWaitSeconds)}`)
    statement(print, root, '  ')
    if (root.kind === 'client backend') print.line(print.colour('dim', `  to end it: SELECT pg_terminate_backend(${root.pid})`))
    branches(print, tree.waits, root.pid, '', new Set([root.pid]))
  }
  const shown = tree.roots.reduce((sum, { waiters }) => sum + waiters, 0)
  if (!tree.roots.length && shown < tree.waiting) print.line('  they wait in a circle, which the server breaks by itself')
}

/** Those that wait for `pid` first of all; each is shown once, below the first that it waits for. */
function branches(print: Print, waits: Wait[], pid: number, before: string, seen: Set<number>): void {
  const mine = waits.filter(one => one.blockedBy[0] === pid && !seen.has(one.pid))
  for (const [i, wait] of mine.entries()) {
    seen.add(wait.pid)
    const isLast = i === mine.length - 1
    const others = wait.blockedBy.slice(1).filter(other => other !== pid)
    print.line(
      `${before}${isLast ? '└─' : '├─'} ${who(wait)} waits ${print.colour('yellow', seconds(wait.waitSeconds))} for ${wait.mode} on ${wait.on}${others.length ? `, also behind ${others.join(', ')}` : ''}`,
    )
    const below = `${before}${isLast ? '   ' : '│  '}`
    statement(print, wait, below)
    branches(print, waits, wait.pid, below, seen)
  }
}

function statement(print: Print, { query }: Session, before: string): void {
  if (query) print.line(before + print.colour('dim', cut(query.replaceAll(/\s+/g, ' '), room() - before.length)))
}

const who = ({ pid, role, application, kind, state }: Session) => {
  const name = kind && kind !== 'client backend' ? kind : `${role ?? 'somebody'}${application ? ` "${application}"` : ''}`
  return `${pid} ${name}${state ? ` (${state})` : ''}`
}

const seconds = (n: number) => formatDuration(Math.round(n * 1_000))
