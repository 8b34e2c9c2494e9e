// Ends an alert by hand, for an operation that nobody will do again. It says nothing about the operation: the next failure is an alert as ever.
import { Refused } from '@dbops/contract/failure'
import { type AlertRow, findAlerts } from '@dbops/ledger/alerts'
import type { Context } from './command.ts'
import { doDeed } from './deed.ts'
import { shortId } from './print.ts'
import { findOne } from './runs/find-run.ts'

export async function resolveAlert({ args, print, connect, confirm }: Context): Promise<void> {
  const connection = await connect()
  const { ledger, environment } = connection
  const alert = await findOne('alert', args[0] as string, './dbops alerts', id => findAlerts(ledger, id))
  if (alert.state !== 'firing') throw resolvedAlready(alert)
  const what = `${alert.name} of ${alert.operation}${alert.target === null ? '' : ` on ${alert.target}`}`
  await confirm(environment, `end alert ${shortId(alert.id)}, ${what}, by hand`)
  // Its success may have come while the question stood.
  if (!(await doDeed(connection, 'resolve', { alert: alert.id })).done) throw resolvedAlready(alert)
  print.environment(environment)
  const [ended] = await findAlerts(ledger, alert.id)
  print.record({ ...ended! })
  print.line(`alert ${print.colour('bold', shortId(alert.id))}: ${what} is ended by hand; ${whoIsTold(ended!)}`)
}

const resolvedAlready = ({ id }: AlertRow) =>
  new Refused(`alert ${shortId(id)} is resolved already`, { hint: './dbops alerts --state firing shows what is not' })

/** As the relay decides it: who was not reached with the alarm is spared its end. */
function whoIsTold({ deliveries }: AlertRow): string {
  const channels = new Set(deliveries.filter(({ state }) => state !== 'failed').map(({ channel }) => channel))
  return channels.size ? `the relay tells ${[...channels].join(', ')}` : 'nobody was told of it, so nobody is told of its end'
}
