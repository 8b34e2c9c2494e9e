// Hands out what may begin: from the ledger into the queues, by priority and age, within the caps and the locks.
import * as runs from '@dbops/ledger/runs'
import { judge, questionOf } from '@dbops/runtime/policy'
import { type Offer, openOffers, queueName } from '@dbops/runtime/queue'
import { endEvent } from '@dbops/runtime/run-events'
import type { Service } from '@dbops/runtime/service'

/** Jobs that lie in one queue at most: enough for every worker, few enough that priorities mean something. */
const perQueue = 200

export function dispatching(service: Service): void {
  const { ledger, timers, config } = service
  const redis = service.redis('prompt')
  const offers = openOffers(redis)
  service.onStop(() => offers.close())

  const offer = async (chosen: runs.Run[], how: 'offer' | 'offerAgain' = 'offer') => {
    const byQueue = Map.groupBy(chosen, run => queueName(run.engine, run.lane))
    for (const [queue, some] of byQueue)
      await offers[how](
        queue,
        some.map(run => ({ run: run.id, dispatch: run.dispatch }) satisfies Offer),
      )
  }

  service.loop({
    name: 'dispatch',
    every: 1_000,
    wake: 'dbops_queued',
    turn: async () => {
      const chosen = await ledger.transaction(async db => {
        const found = await runs.dispatch(db, perQueue, (run, now) =>
          // A plan only reads.
          run.mode === 'plan' ? { verdict: 'allow' } : judge(questionOf(run), config, now),
        )
        for (const { run, verdict } of found?.refused ?? []) {
          const error = { code: `refused_by_${verdict.rule}`, message: verdict.reason, ...(verdict.hint ? { hint: verdict.hint } : {}) }
          await runs.endWaiting(db, run, 'refused', error, [endEvent(service, run, 'refused', error)], verdict)
        }
        return found?.sent ?? []
      })
      // A crash between the commit above and this costs a sixth of a lease: the loop below offers again what nobody claimed.
      await offer(chosen)
    },
  })

  service.loop({
    name: 'offer again',
    every: timers.heartbeat,
    turn: async () => offer(await runs.unclaimed(ledger, timers.lease / 6), 'offerAgain'),
  })
  service.loop({ name: 'explain waits', every: 1_000, turn: async () => void (await runs.explainWaits(ledger)) })
}
