// `pause`: no new runs from schedules, until a stated time.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'pause',
  summary: 'Skips the slots of schedules until a stated time',
  arguments: { '[schedule]': 'its name' },
  options: {
    '--target <name>': 'all schedules of this target',
    '--task <task>': 'all schedules of this task',
    '--all': 'all schedules',
    '--until <time>': 'how long, or until when (required): 2h, 2026-12-31T22:00',
  },
  examples: [
    ['./dbops pause vacuum --until 2h', 'one schedule'],
    ['./dbops pause --target core --until 2026-12-31T22:00', 'all that works on a target; a time of the zone in the configuration'],
    ['./dbops pause --all --until 30m', 'everything'],
  ],
  run: async c => (await import('../pauses.ts')).pauseScope(c),
})
