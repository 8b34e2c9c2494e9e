// `probes [NAME]`: the last readings, each with its age.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'probes',
  summary: 'The last reading of every probe, with its age; or one reading, whole',
  arguments: { '[name]': 'of a probe: pg.health' },
  options: { '--target <name>': 'only of this target' },
  examples: [
    ['./dbops probes', 'all of them, a line each'],
    ['./dbops probes pg.health --target core', 'one, with every figure'],
    ['./dbops probes --json | jq \'select(.state == "failed")\'', 'what could not be read'],
  ],
  run: async c => (await import('../probes.ts')).probes(c),
})
