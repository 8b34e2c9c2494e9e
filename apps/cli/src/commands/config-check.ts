// `config check`: everything that is wrong with a configuration, and when its schedules are due next.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'config check',
  summary: 'Checks a configuration; shows when it is due',
  arguments: { '[file]': 'the configuration; --config or config/sample.yaml when left out' },
  options: { '--resolve <app>': 'open the secrets of this service as well, as it would here' },
  examples: [
    ['./dbops config check my.yaml', 'without any secret'],
    ['./dbops config check my.yaml --resolve pg-maintainer', 'where pg-maintainer is to run'],
    ['./dbops config check my.yaml --json', 'one object: ok, errors, next'],
  ],
  run: async c => (await import('../check-config.ts')).checkConfigFile(c),
})
