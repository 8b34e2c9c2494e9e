// `report TASK`: what its last run has found, as a page for people.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'report',
  summary: 'What the last run of a task has found, to be read or sent: Markdown, or a page of HTML that needs nothing else',
  arguments: { '[task]': 'left out: which there are, and when each last ran' },
  options: {
    '--target <name>': 'of this target',
    '--run <id>': 'of this run; its last 8 characters will do',
    '--lang <language>': { about: 'its language', choices: ['en', 'ko'], default: 'en' },
    '--html <file>': 'writes it there as HTML; a file of that name is replaced',
    '--markdown <file>': 'writes it there as Markdown',
  },
  examples: [
    ['./dbops report redis.key-review', 'where the memory of the Redis is'],
    ['./dbops report redis.key-review --html keys.html --lang ko', 'the same as a page with charts, in Korean'],
    ['./dbops report redis.key-review --json | jq .result.prefixes', 'for scripts'],
  ],
  run: async c => (await import('../report.ts')).report(c),
})
