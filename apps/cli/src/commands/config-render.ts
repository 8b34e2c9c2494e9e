// `config render`: the configuration as it is understood.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'config render',
  summary: 'Shows a configuration as it is understood: all defaults filled in, secrets masked',
  arguments: { '[file]': 'the configuration; --config or config/sample.yaml when left out' },
  examples: [
    ['./dbops config render my.yaml', 'YAML that says the same as the file'],
    ["./dbops config render my.yaml --json | jq '.schedules.vacuum'", 'one schedule with its defaults'],
  ],
  run: async c => (await import('../render-config.ts')).renderConfig(c),
})
