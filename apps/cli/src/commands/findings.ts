// `findings`: what is wrong with the targets and a person may mend.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'findings',
  summary: 'What a person may mend on the targets, the worst first',
  options: {
    '--target <name>': 'only on this target',
    '--state <state>': {
      about: 'standing is all that is not gone',
      choices: ['standing', 'open', 'acknowledged', 'back', 'gone'],
      default: 'standing',
    },
    '--limit <n>': { about: 'at most', default: '50' },
  },
  examples: [
    ['./dbops findings', 'what stands'],
    ['./dbops findings --target core --state gone', 'what was mended'],
    ["./dbops findings --json | jq -r 'select(.sql) | .sql'", 'the statements that would mend them'],
  ],
  run: async c => (await import('../findings.ts')).findings(c),
})
