// The ledger is away: whoever has critical alerts is told without it, again each quarter of an hour, and when it is back.
import { openLedger } from '@dbops/ledger/ledger'
import { openLog } from '@dbops/runtime/log'
import { tellerOf } from '@dbops/runtime/run-events'
import { startSink } from '@dbops/sample/sink'
import { freshDatabase } from '@dbops/testing/database'
import { startProxy } from '@dbops/testing/proxy'
import { expect, test } from 'vitest'
import { ledgerWatch } from '../src/ledger-watch.ts'
import { loadChannels } from '../src/load-channels.ts'
import type { Message } from '../src/message.ts'
import { at, rules } from './relay-bench.ts'

test('told after 30 s, once per quarter of an hour, only to critical routes, and when it is back', async () => {
  const database = await freshDatabase()
  const proxy = await startProxy(database.url)
  const ledger = await openLedger({ url: proxy.url, name: 'test', sessions: 2 })
  const sink = await startSink({ secret: 's' })
  const webhook = (url: string) => ({ type: 'webhook', url, secret: 's' })
  const config = {
    environment: 'test',
    ...rules({
      channels: { ops: webhook(sink.url), chat: webhook(`${sink.url}/chat`) },
      routes: [
        { match: { severity: ['critical'] }, to: ['ops'] },
        { match: { severity: ['warning'] }, to: ['chat'] },
      ],
    }),
  }
  const look = ledgerWatch(
    {
      config,
      ledger,
      log: openLog('alert-relay', 'test', 'silent'),
      signal: new AbortController().signal,
      ...tellerOf('alert-relay', 'test'),
    } as never,
    await loadChannels(),
  )
  const told = () => sink.received.map(({ body, verified }) => [verified, ...factsOf(JSON.parse(body) as Message)])
  await look(at('05:00:00'))
  proxy.freeze()
  await look(at('05:00:05'))
  await look(at('05:00:30'))
  const early = told()
  await look(at('05:00:36'))
  await look(at('05:10:00'))
  const first = told()
  await look(at('05:16:00'))
  proxy.thaw()
  await look(at('05:16:05'))
  await look(at('05:16:10'))
  const { rows } = await ledger.query<{ event: string }>('select event from outbox')
  await ledger.close()
  await proxy.close()
  await sink.stop()
  await database.drop()
  expect([early, first, told(), rows]).toEqual([
    [],
    [[true, 'firing', 0]],
    [
      [true, 'firing', 0],
      [true, 'firing', 1],
      [true, 'resolved', 0],
    ],
    [{ event: 'ledger_recovered' }],
  ])
})

const factsOf = ({ alert }: Message) => [alert.state, alert.repeat]
