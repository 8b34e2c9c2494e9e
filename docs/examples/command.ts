// Asks for a run by a signed command and waits for its end. To be copied: it needs ioredis, and nothing of ours.
// node command.ts '{"verb": "run", "task": "pg.analyze", "target": "core", "params": {"tables": ["core.cases"]}}'
import { createHmac, randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'

const { DBOPS_REDIS_URL = 'redis://127.0.0.1', COMMAND_KEY = 'deployer', COMMAND_SECRET = '', PATIENCE_S = '600' } = process.env
const body = process.argv[2] ?? ''
const redis = new Redis(DBOPS_REDIS_URL, { blockingTimeout: 15_000 })
redis.on('error', (error: Error) => console.error(error.message))
const ends = ['succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped']

// From here on: the answer cannot be missed, however fast it comes.
let from = (await redis.xrevrange('dbops:events', '+', '-', 'COUNT', 1))[0]?.[0] ?? '0'
const id = randomUUID() // Once for each command: the same id twice is refused.
const expires = String(Math.floor(Date.now() / 1000) + 60) // At most five minutes ahead.
const sig = createHmac('sha256', COMMAND_SECRET).update(`v1:${id}:${expires}:${body}`).digest('hex')
await redis.xadd('dbops:commands', '*', 'id', id, 'key', COMMAND_KEY, 'expires', expires, 'body', body, 'sig', sig)

let run: string | null = null
const deadline = Date.now() + Number(PATIENCE_S) * 1000
while (Date.now() < deadline) {
  const answer = await redis.xread('COUNT', 100, 'BLOCK', 5_000, 'STREAMS', 'dbops:events', from)
  for (const [entry, fields] of answer?.[0]?.[1] ?? []) {
    from = entry
    const event = JSON.parse(fields[fields.indexOf('ce') + 1] ?? '{}')
    if (event.data?.command === id) {
      if (event.type.includes('command_refused')) finish(`refused (${event.data.reason}): ${event.data.message}; ${event.data.hint}`, 4)
      run = event.data.run
      if (!run) finish('done', 0) // What bears no run: pause, resume, cancel.
      console.log(`accepted as run ${run}`)
    } else if (run && event.runid === run && ends.includes(event.data?.state) && event.data.mode)
      finish(`${event.data.task} ${event.data.state}`, event.data.state === 'succeeded' ? 0 : 1)
  }
}
finish(run ? `run ${run} has not ended yet` : 'no answer: is a scheduler running?', 5)

function finish(text: string, code: number): never {
  console.log(text)
  process.exit(code)
}
