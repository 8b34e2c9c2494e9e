// `retry RUN`: the same once more, as a new run.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'retry',
  summary: 'Does once more what an ended run did, as a new run',
  arguments: { '<run>': 'the last 8 characters of its id will do' },
  listedBy: './dbops runs',
  options: {
    '--wait': 'wait for the end; the exit code is that of the run: 1 failed, 4 refused',
    '--timeout <duration>': 'wait no longer than this; then 5, and the run goes on',
    '--key <key>': 'asked again with the same key, it is not run again, for 90 days',
  },
  examples: [['./dbops retry 8f3a91c2 --wait', 'after the cause is mended']],
  async run(c) {
    const [{ findRun }, { askFor, tellRun, waitingOf }, { runWords }, { shortId }] = await Promise.all([
      import('../runs/find-run.ts'),
      import('../runs/start-run.ts'),
      import('../runs/run-record.ts'),
      import('../print.ts'),
    ])
    const waiting = waitingOf(c.options)
    const connection = await c.connect()
    const before = await findRun(connection.ledger, c.args[0] as string)
    await c.confirm(connection.environment, `run ${runWords(before)} once more, as after run ${shortId(before.id)}`)
    const key = c.options['key'] as string | undefined
    const run = await askFor(connection, { verb: 'retry', body: { run: before.id }, ...(key ? { key } : {}) })
    return tellRun(c, connection, run, waiting)
  },
})
