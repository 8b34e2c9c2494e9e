// The whole line: an execution that outlives the maintainer which told it is not told again by the next one. A long run.
import { freshDatabase } from '@dbops/testing/database'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { expect, test } from 'vitest'

test.runIf(process.env.DBOPS_LONG)(
  'a statement that runs while its maintainer is killed is told once',
  async () => {
    const database = await freshDatabase()
    const line = await startLine(`targets: { core: { engine: pg, url: "${database.url}" } }`)
    const client = new Client({ connectionString: database.url, application_name: 'core-api' })
    await client.connect()
    try {
      const first = await line.start('apps/pg-maintainer/src/main.ts')
      const running = client.query(`SELECT pg_sleep(300), 'kim@example.kr'`).catch(() => undefined)
      await until('it is told', async () => (await told(line)).length, { within: 30_000 })
      first.kill('SIGKILL')
      const { rows } = await line.ledger.query<{ at: Date }>(lastAt)
      await line.start('apps/pg-maintainer/src/main.ts')
      await until('the next one reads', async () => (await line.ledger.query(`${lastAt} and at > $1`, [rows[0]!.at])).rows.length, {
        within: 60_000,
      })
      expect(await told(line)).toEqual([
        expect.objectContaining({ query: 'SELECT pg_sleep(?), ?', application: 'core-api', source: 'sampling', params_count: 0 }),
      ])
      await client.end()
      await running
    } finally {
      await client.end()
      await line.close()
      await database.drop()
    }
  },
  120_000,
)

const lastAt = `select at from probes where probe = 'pg.slow-statements' and state = 'ok'`
const told = async (line: Line) =>
  (await line.ledger.query<{ data: object }>(`select ce -> 'data' as data from outbox where event = 'db_query_slow'`)).rows.map(
    ({ data }) => data,
  )
