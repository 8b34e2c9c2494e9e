// `up`: starts everything, and shows what happens.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'up',
  summary: 'Starts everything, and shows what happens',
  options: {
    '--log': 'line by line also on a terminal, in place of the page',
    '--no-sample': 'without the sample platform',
    '--allow-mass-disable': "even if more than half of the ledger's schedules are not in the configuration any more",
  },
  examples: [
    ['./dbops up', 'the sample platform, looked after: the first three minutes show everything'],
    ['./dbops up --config my.yaml', 'your own plan; servers that it does not name are started and kept'],
    ['./dbops up --json | jq .type', 'the events alone, as CloudEvents'],
    ['DBOPS_HOME=/var/lib/dbops ./dbops up', 'keeps its data there instead of .dbops/'],
  ],
  run: async c => (await import('../up/up.ts')).up(c),
})
