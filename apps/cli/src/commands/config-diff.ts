// `config diff`: what a configuration would change.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'config diff',
  summary: 'What a configuration would change in what the schedulers of this ledger do now',
  arguments: { '[file]': 'the configuration; --config, or that of the running up, when left out' },
  options: { '--exit-code': 'ends with 1 where something would change' },
  examples: [
    ['./dbops config diff my.yaml', 'schedules and targets that come, go or change, with the next slot before and after'],
    ['./dbops config diff my.yaml --exit-code', 'for a pipeline that asks a person before it goes on'],
  ],
  run: async c => (await import('../diff-config.ts')).diffConfig(c),
})
