// `targets check [NAME]`: what the maintainers found on their targets.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'targets check',
  summary: 'What the maintainers found on a target: version, role, rights, client programs; 1 where something is missing',
  arguments: { '[name]': 'of one target; default all' },
  examples: [
    ['./dbops targets check', 'all of them'],
    ['./dbops targets check core --json | jq \'select(.level == "error")\'', 'what is missing on one'],
  ],
  run: async c => (await import('../targets.ts')).checkTargets(c),
})
