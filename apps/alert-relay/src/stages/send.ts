// Writes the notification down with its whole message, in the transaction that decided it. The delivery loop takes it from there.
import { addDelivery } from '@dbops/ledger/deliveries'
import { messageOf } from '../message.ts'
import type { Stage } from '../stage.ts'

export const send: Stage = async (db, { episode, channel, why, nth, now }) => {
  const place = { episode: episode.id, channel, state: episode.state, nth }
  return (await addDelivery(db, place, messageOf(episode, place), now)) ? why : 'told'
}
