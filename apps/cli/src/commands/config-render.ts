// `config render`: the configuration as it is understood.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'config render',
  summary: 'Shows a configuration as it is understood: all defaults filled in, secrets masked',
  arguments: { '[file]': 'the configuration; --config or config/sample.yaml when left out' },
  options: { '--app <name>': 'in its place the secrets that this service opens: where each comes from, and whether it can be opened here' },
  examples: [
    ['./dbops config render my.yaml', 'YAML that says the same as the file'],
    ["./dbops config render my.yaml --json | jq '.schedules.vacuum'", 'one schedule with its defaults'],
    ['./dbops config render my.yaml --app pg-maintainer', 'what its deployment must be given'],
  ],
  run: async c => (await import('../render-config.ts')).renderConfig(c),
})
