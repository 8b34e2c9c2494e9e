// Reads dbops:events in a group of its own and keeps each event as a file. To be copied: it needs ioredis, and nothing of ours.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

const { DBOPS_REDIS_URL, GROUP = 'reporting', CONSUMER = 'one', FOLDER = 'events' } = process.env
const stream = 'dbops:events'
// A blocked read that nobody answers is given up, so that a network that swallows packets is noticed.
const redis = new Redis(DBOPS_REDIS_URL, { maxRetriesPerRequest: null, blockingTimeout: 15_000 })
redis.on('error', error => console.error(error.message))
let from = '0' // '0': what was delivered to us and not acknowledged. '>': what is new.
redis.on('ready', () => (from = '0')) // After each reconnect too: the answer may have been lost on its way.
mkdirSync(FOLDER, { recursive: true })

// Delivery is at least once, so the effect must be the same the second time: a file that is named by the event.
// In a database: insert the event's id, under a unique constraint, in the transaction of the effect.
function handle(event) {
  writeFileSync(`${FOLDER}/${event.id}.new`, JSON.stringify(event))
  renameSync(`${FOLDER}/${event.id}.new`, `${FOLDER}/${event.id}.json`)
}

for (;;) {
  const asked = from // A reconnect while the read is under way sets `from` back: its answer must not undo that.
  try {
    const answer = await redis.xreadgroup('GROUP', GROUP, CONSUMER, 'COUNT', 100, 'BLOCK', 5_000, 'STREAMS', stream, asked)
    const entries = answer?.[0][1] ?? []
    for (const [id, fields] of entries) {
      const event = fields && read(id, fields)
      if (event) handle(event) // What it throws is tried again: the entry stays pending.
      await redis.xack(stream, GROUP, id)
    }
    if (!answer) from = '0' // Nothing came, or too late for us: what it brought is pending.
    else if (asked === '0' && entries.length === 0) from = '>'
  } catch (error) {
    console.error(error.message)
    from = '0'
    // No such group: this is the first start, or Redis was emptied. From the beginning, so that nothing is missed.
    if (error.message.startsWith('NOGROUP')) await redis.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM').catch(() => {})
    else await sleep(1_000)
  }
}

// What is no event stops nobody: it is said, and acknowledged.
function read(id, fields) {
  try {
    const event = JSON.parse(fields[fields.indexOf('ce') + 1])
    if (/^[0-9a-f-]{36}$/.test(event.id)) return event
  } catch {}
  console.error(`entry ${id} is no event`)
}
