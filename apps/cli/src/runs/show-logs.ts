// The lines of a run, and with --follow those to come.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Line, linesOf } from '@dbops/ledger/logs'
import { find, isFinal } from '@dbops/ledger/runs'
import type { Context } from '../command.ts'
import { stamp } from '../moment.ts'
import { type Colour, shortId } from '../print.ts'
import { findRun } from './find-run.ts'
import { runWords, stateWords } from './run-record.ts'

const every = 500
const colours: Record<string, Colour> = { warning: 'yellow', error: 'red' }

export async function showLogs({ args, options, print, connect }: Context): Promise<void> {
  const { ledger, environment } = await connect()
  let run = await findRun(ledger, args[0] as string)
  print.environment(environment, `run ${shortId(run.id)}, ${runWords(run)}`)
  let last = 0
  const tell = ({ n, at, level, line }: Line) => {
    last = n
    print.record({ n, at, level, line })
    const time = print.colour('dim', `${stamp(at)}.${String(at.getMilliseconds()).padStart(3, '0')}`)
    const colour = colours[level]
    print.line(`${time}  ${colour ? print.colour(colour, line) : line}`)
  }
  for (;;) {
    // The state first: what a run says comes before its end.
    const ended = isFinal(run.state)
    for (const line of await linesOf(ledger, run.id, last)) tell(line)
    if (ended || !options['follow']) break
    await sleep(every)
    run = (await find(ledger, run.id))[0] ?? run
  }
  if (!last)
    print.line(
      `it has said nothing${isFinal(run.state) ? '' : ` yet: it is ${stateWords(run.state)}`}; ./dbops runs show ${shortId(run.id)} tells its history`,
    )
}
