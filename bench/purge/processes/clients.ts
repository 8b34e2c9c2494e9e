// Eight clients at a fixed rate beside a purge: each transaction changes an account and adds an outbox row. Its time counts from the moment at which it was due,
// so that a server that stands still is felt by all that should have come meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'

const clients = 8
/** Transactions per second of each. */
const rate = 25
const accounts = 100_000
const transaction = `
  WITH changed AS (UPDATE accounts SET balance = balance + 1 WHERE id = $1 RETURNING id)
  INSERT INTO outbox (status, created_at, payload) SELECT 'PENDING', now(), repeat('p', 60) FROM changed`

/** When it was due (epoch, ms) and how long it took (ms). */
const done: [at: number, took: number][] = []
process.on('message', () => process.send!(done.splice(0)))

const work = async (index: number) => {
  const client = new Client(process.env['BENCH_URL'])
  await client.connect()
  for (let due = performance.now() + (index * 1_000) / rate / clients; ; due += 1_000 / rate) {
    const early = due - performance.now()
    if (early > 0) await sleep(early)
    await client.query(transaction, [1 + Math.floor(Math.random() * accounts)])
    done.push([performance.timeOrigin + due, performance.now() - due])
  }
}
for (let index = 0; index < clients; index++) void work(index)
process.send!('ready')
