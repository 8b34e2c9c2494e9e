// `doctor`: what is wrong with the installation, and the mend of each.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'doctor',
  summary: 'Looks at everything that must be right, and says how to mend it',
  examples: [
    ['./dbops doctor', 'ends with 1 when something is wrong'],
    ['./dbops doctor --json | jq \'select(.level == "error")\'', 'one finding a line: area, level, what, hint'],
  ],
  run: async c => (await import('../doctor.ts')).doctor(c),
})
