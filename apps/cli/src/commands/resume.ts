// `resume`: ends a pause before its time.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'resume',
  summary: 'Ends a pause before its time',
  arguments: { '[schedule]': 'its name' },
  options: {
    '--target <name>': 'the pause of this target',
    '--task <task>': 'the pause of this task',
    '--all': 'the pause of everything; pauses of single names stand',
  },
  examples: [
    ['./dbops resume vacuum', 'the pause that was made by its name'],
    ['./dbops resume --all', 'the pause of everything'],
  ],
  run: async c => (await import('../pauses.ts')).resumeScope(c),
})
