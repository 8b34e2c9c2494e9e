// Findings as the ledger keeps them: what is wrong with a target, what would mend it, since when, and who knows of it.
import { type Severity, severities } from '@dbops/contract/signals'
import { deedsOf } from '@dbops/ledger/audit'
import { type Finding, type FindingState, findFinding, listFindings } from '@dbops/ledger/findings'
import type { Context } from './command.ts'
import { doDeed } from './deed.ts'
import { factLines, indent } from './facts.ts'
import { Failed } from './fail.ts'
import { limitOf } from './filters.ts'
import { clock, past, stamp } from './moment.ts'
import { ago, type Colour, shortId } from './print.ts'
import { findOne } from './runs/find-run.ts'
import { room } from './runs/start-run.ts'
import { wrap } from './up/teller.ts'

const levelColours: Record<Severity, Colour> = { info: 'dim', warning: 'yellow', error: 'red', critical: 'red' }
const stateColours: Record<FindingState, Colour | undefined> = { open: undefined, back: 'red', acknowledged: 'blue', gone: 'green' }

export async function findings({ options, print, connect }: Context): Promise<void> {
  const limit = limitOf(options['limit'])
  const target = options['target'] as string | undefined
  const state = options['state'] as FindingState | 'standing'
  const { ledger, environment } = await connect()
  const found = await listFindings(ledger, { limit, state, ...(target ? { target } : {}) })
  const now = await ledger.now()
  print.environment(environment)
  print.rows(
    // Those of one level in the order of the ledger: the newest first.
    found.toSorted((a, b) => rank(b.level) - rank(a.level)),
    [
      { head: 'id', of: f => shortId(f.id), colour: () => 'bold' },
      { head: 'level', of: f => f.level, colour: f => levelColours[f.level] },
      { head: 'target', of: f => f.target },
      { head: 'source', wide: true, of: f => f.source },
      { head: 'state', of: f => f.state, colour: f => stateColours[f.state] },
      { head: 'since', wide: true, of: f => clock(f.since, now) },
      { head: 'ago', of: f => ago(f.since, now), right: true },
      { head: 'what', of: f => f.what },
    ],
    state === 'standing' && !target ? 'nothing is to be mended' : 'no finding like that; ./dbops findings lists what stands',
  )
}

const rank = (level: Severity) => severities.indexOf(level)

export async function showFinding({ args, print, connect }: Context): Promise<void> {
  const { ledger, environment } = await connect()
  const found = await findOne('finding', args[0] as string, './dbops findings', id => findFinding(ledger, id))
  const deeds = await deedsOf(ledger, `finding ${found.id}`)
  print.record({ ...found, deeds })
  if (print.json) return
  const now = await ledger.now()
  print.environment(environment)
  print.line(
    `finding ${print.colour('bold', shortId(found.id))}  ${print.colour(levelColours[found.level], found.level)}  ${found.target}, by ${found.source}  ${found.state}`,
  )
  for (const line of wrap(found.what, room())) print.line(`  ${line}`)
  if (found.hint) for (const line of wrap(`hint: ${found.hint}`, room())) print.line(`  ${print.colour('yellow', line)}`)
  if (found.sql) {
    print.line()
    print.line(print.colour('bold', 'what would mend it, to be read before it is run'))
    for (const line of found.sql.split('\n')) print.line(`  ${line}`)
  }
  if (found.evidence && Object.keys(found.evidence).length) {
    print.line()
    print.line(print.colour('bold', 'evidence'))
    for (const line of indent(factLines(found.evidence, room()))) print.line(line)
  }
  print.line()
  print.line(print.colour('bold', 'history'))
  const history = [
    ...lifeOf(found, now),
    ...deeds.map(({ at, actor, action, detail }) => [stamp(at), `${action} by ${actor}${noteOf(detail)}`]),
  ]
  for (const [at, words] of history) print.line(`  ${at}  ${words}`)
}

function lifeOf({ firstSeen, since, seenAt, goneAt, times, state }: Finding, now: Date): [string, string][] {
  return [
    [stamp(firstSeen), 'seen for the first time'],
    ...(times > 1 ? ([[stamp(since), `back: seen ${times} times in all`]] as [string, string][]) : []),
    state === 'gone' && goneAt ? [stamp(goneAt), 'gone'] : [stamp(seenAt), `seen last, ${ago(seenAt, now)} ago`],
  ]
}

const noteOf = ({ note }: Record<string, unknown>) => (typeof note === 'string' ? `: ${note}` : '')

export async function acknowledgeFinding({ args, options, print, connect }: Context): Promise<void> {
  const connection = await connect()
  const { ledger, environment, actor } = connection
  const found = await findOne('finding', args[0] as string, './dbops findings', id => findFinding(ledger, id))
  const note = (options['note'] as string | undefined) ?? null
  if (!(await doDeed(connection, 'acknowledge', { finding: found.id, note })).done)
    throw new Failed('refused', `finding ${shortId(found.id)} is gone`, {
      code: 'finding_gone',
      hint: 'there is nothing to know of any more; ./dbops findings lists what stands',
    })
  print.environment(environment)
  print.record({ id: found.id, acknowledgedBy: actor, note })
  print.line(`finding ${print.colour('bold', shortId(found.id))} of ${found.target} is acknowledged by ${actor}: ${found.what}`)
  const now = await ledger.now()
  print.line(print.colour('dim', `it stands since ${past(found.since, now)}; gone and come back, it is open again`))
}
