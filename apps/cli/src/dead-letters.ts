// What readers of dbops:events have set aside: listed, shown, let go out again, and dropped.
import { type DeadLetter, findDeadLetters, listDeadLetters, replayable } from '@dbops/ledger/dead-letters'
import type { Queryable } from '@dbops/ledger/ledger'
import { redact } from '@dbops/runtime/redact'
import type { Context } from './command.ts'
import { doDeed } from './deed.ts'
import { Failed } from './fail.ts'
import { limitOf } from './filters.ts'
import { clock, stamp } from './moment.ts'
import { ago, shortId } from './print.ts'
import { findOne } from './runs/find-run.ts'
import { room } from './runs/start-run.ts'
import { wrap } from './up/teller.ts'

/** As many as one command lets go out at once: what the deed takes. */
const most = 10_000
const seen = (letter: DeadLetter) => ({ ...letter, reason: redact(letter.reason), ce: redact(letter.ce) })
const find = (ledger: Queryable) => (text: string) =>
  findOne('dead letter', text, './dbops dlq --all', async id => (await findDeadLetters(ledger, id)).map(seen))

export async function deadLetters({ options, print, connect }: Context): Promise<void> {
  const limit = limitOf(options['limit'])
  const reader = options['reader'] as string | undefined
  const { ledger, environment } = await connect()
  const letters = (await listDeadLetters(ledger, { limit, all: options['all'] === true, ...(reader ? { reader } : {}) })).map(seen)
  const now = await ledger.now()
  print.environment(environment)
  print.rows(
    letters,
    [
      { head: 'id', of: d => shortId(d.id), colour: () => 'bold' },
      { head: 'reader', of: d => d.reader },
      { head: 'at', wide: true, of: d => clock(d.at, now) },
      { head: 'ago', of: d => ago(d.at, now), right: true },
      {
        head: 'again',
        of: d => (d.event === null ? 'no event' : d.replayedAt ? `${ago(d.replayedAt, now)} ago` : d.droppedAt ? 'dropped' : 'can go out'),
        wide: true,
      },
      { head: 'reason', of: d => d.reason },
    ],
    options['all'] ? 'nothing was ever set aside' : 'nothing that was set aside waits; ./dbops dlq --all shows what went out again',
  )
}

export async function showDeadLetter({ args, print, connect }: Context): Promise<void> {
  const { ledger, environment } = await connect()
  const letter = await find(ledger)(args[0] as string)
  print.record({ ...letter })
  if (print.json) return
  print.environment(environment)
  print.line(
    `dead letter ${print.colour('bold', shortId(letter.id))} of ${letter.reader}, entry ${letter.entry}, since ${stamp(letter.at)}`,
  )
  for (const line of wrap(letter.reason, room())) print.line(`  ${print.colour('red', line)}`)
  if (letter.replayedAt) print.line(`  went out again ${stamp(letter.replayedAt)}, by ${letter.replayedBy}`)
  else if (letter.droppedAt) print.line(`  dropped ${stamp(letter.droppedAt)}, by ${letter.droppedBy}: ${letter.droppedReason}`)
  else if (letter.event === null)
    print.line(print.colour('dim', '  it is no event of ours and cannot go out again: who writes into dbops:events?'))
  else print.line(print.colour('yellow', `  hint: mend what its reader stumbled over, then ./dbops dlq replay ${shortId(letter.id)}`))
  print.line()
  for (const line of wrap(letter.ce || '(it has no field "ce")', room())) print.line(`  ${line}`)
}

export async function replayDeadLetters({ args, options, print, connect, confirm }: Context): Promise<void> {
  const texts = [args[0] ?? []].flat()
  const [all, reader] = [options['all'] === true, options['reader'] as string | undefined]
  if (all === texts.length > 0)
    throw new Failed('wrong', all ? 'it is either ids or --all' : 'which? There is neither an id nor --all', {
      code: 'bad_argument',
      hint: './dbops dlq shows what waits',
    })
  const connection = await connect()
  const { ledger, environment } = connection
  const letters = all ? await replayable(ledger, { reader, limit: most }) : await Promise.all(texts.map(find(ledger)))
  for (const letter of letters) {
    const { id, event } = letter
    if (event === null)
      throw new Failed('refused', `dead letter ${shortId(id)} is no event, so it cannot go out again`, {
        code: 'no_event',
        hint: `./dbops dlq show ${shortId(id)} says what it holds; whoever wrote it must write it rightly`,
      })
    refuseSettled(letter)
  }
  if (letters.length)
    await confirm(
      environment,
      `let ${letters.length === 1 ? `dead letter ${shortId(letters[0]!.id)}` : `${letters.length} dead letters`} go out again`,
    )
  const { replayed = 0 } = letters.length ? await doDeed(connection, 'replay', { letters: letters.map(({ id }) => id) }) : {}
  print.environment(environment)
  print.record({ replayed })
  print.line(
    replayed
      ? `${replayed} of ${letters.length} ${letters.length === 1 ? 'goes' : 'go'} out again; ./dbops dlq shows what is set aside once more`
      : 'nothing waits that could go out again',
  )
  if (letters.length === most) print.line('these were the oldest; again for what came after them')
}

export async function dropDeadLetters({ args, options, print, connect, confirm }: Context): Promise<void> {
  const reason = (options['reason'] as string | undefined)?.trim()
  if (!reason)
    throw new Failed('wrong', 'there is no --reason', { code: 'bad_argument', hint: 'it stands in the audit: --reason "a test of ours"' })
  const connection = await connect()
  const letters = await Promise.all([args[0] ?? []].flat().map(find(connection.ledger)))
  letters.forEach(refuseSettled)
  const what = letters.length === 1 ? `dead letter ${shortId(letters[0]!.id)}` : `${letters.length} dead letters`
  await confirm(connection.environment, `drop ${what}: what ${letters.length === 1 ? 'it' : 'they'} would have set off is not done`)
  const { dropped = 0 } = await doDeed(connection, 'drop', { letters: letters.map(({ id }) => id), reason })
  print.environment(connection.environment)
  print.record({ dropped })
  print.line(`${dropped} of ${letters.length} dropped; ./dbops dlq --all still shows ${letters.length === 1 ? 'it' : 'them'}`)
}

/** It went out again, or was dropped. */
function refuseSettled({ id, replayedAt, replayedBy, droppedAt, droppedBy, droppedReason }: DeadLetter): void {
  if (replayedAt)
    throw new Failed('refused', `dead letter ${shortId(id)} went out again ${stamp(replayedAt)}, by ${replayedBy}`, {
      code: 'replayed_before',
      hint: 'set aside once more, it is a dead letter of its own: ./dbops dlq',
    })
  if (droppedAt)
    throw new Failed('refused', `dead letter ${shortId(id)} was dropped ${stamp(droppedAt)}, by ${droppedBy}: ${droppedReason}`, {
      code: 'dropped_before',
      hint: './dbops dlq shows what waits',
    })
}
