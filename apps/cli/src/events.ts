// Events of the ledger: those of the past, and with --follow each as it is told. The outbox keeps them for seven days at least.
import type { Envelope } from '@dbops/contract/envelope'
import { eventsSince, recent } from '@dbops/ledger/outbox'
import type { Context } from './command.ts'
import { limitOf } from './filters.ts'
import { momentBefore } from './moment.ts'
import { follow } from './up/follow.ts'
import { sentence } from './up/sentences.ts'
import { teller } from './up/teller.ts'

const mostAtOnce = 10_000

export async function events({ options, print, connect }: Context): Promise<void> {
  const since = options['since'] as string | undefined
  const limit = options['limit'] === undefined ? (since ? mostAtOnce : 50) : limitOf(options['limit'])
  const { ledger, environment } = await connect()
  const { say } = teller({ colour: (name, text) => print.colour(name, text) })
  const told = new Set<string>()
  const tell = (ce: Envelope) => {
    if (told.has(ce.id)) return
    told.add(ce.id)
    print.record(ce)
    if (!print.json) say(sentence(ce), new Date(ce.time))
  }
  print.environment(environment)
  // Heard from before the look back on, so that nothing falls between the two.
  const meanwhile: Envelope[] = []
  let hear: (ce: Envelope) => unknown = ce => meanwhile.push(ce)
  const unfollow = options['follow'] ? await follow(ledger, async ce => void hear(ce)) : undefined
  const past = since
    ? await eventsSince(ledger, momentBefore('--since', since, await ledger.now()), limit)
    : await recent(ledger, { limit })
  for (const { ce } of past) tell(ce)
  if (!unfollow) {
    if (!past.length)
      print.line(`${since ? `nothing was told in that time` : 'nothing was told yet'}; ./dbops events --follow waits for it`)
    return
  }
  hear = tell
  for (const ce of meanwhile) tell(ce)
  await new Promise(resolve => process.once('SIGINT', resolve).once('SIGTERM', resolve))
  await unfollow()
}
