// The alert relay: reads dbops:events, keeps alerts and their episodes, and tells the channels.
import { consume } from '@dbops/runtime/bus'
import { startService } from '@dbops/runtime/service'
import { concerned, fromLedger, group } from './from-ledger.ts'
import { ledgerWatch } from './ledger-watch.ts'
import { loadChannels } from './load-channels.ts'
import { relay } from './relay.ts'

await startService('alert-relay', async s => {
  const { ledger, log, metrics, signal, name: consumer } = s
  const channels = await loadChannels()
  const mine = new Set(concerned)
  const does = relay(s, channels)
  const watch = ledgerWatch(s, channels)
  const blocking = s.redis('blocking')
  let turned = performance.now()
  s.mustTurn('the reader of dbops:events', () => performance.now() - turned)
  const reading = consume({
    group,
    consumer,
    blocking,
    prompt: s.redis('prompt'),
    concerns: async () => mine,
    handle: (db, event) => does.handle(db, event),
    onTurn: () => void (turned = performance.now()),
    ledger,
    signal,
    log,
    metrics,
  })
  s.onStop(() => {
    blocking.disconnect() // or its read would last out its five seconds
    return reading
  })
  // What is told comes from the ledger: without Redis as well.
  s.loop({ name: 'from-ledger', every: 5_000, always: true, turn: fromLedger(s, (db, event) => does.handle(db, event)) })
  s.loop({ name: 'look-again', every: 5_000, always: true, turn: () => does.lookAgain() })
  s.loop({ name: 'ledger-watch', every: 5_000, always: true, turn: () => watch(new Date()) })
  s.loop({ name: 'sweep', every: 60_000, turn: () => does.sweep() })
  // A loop for each: a receiver that hangs holds up nobody else's.
  for (const channel of Object.keys(s.config.alerts.channels))
    s.loop({ name: `deliver:${channel}`, every: 1_000, always: true, turn: () => does.deliver(channel) })
})
