// `test`: every check and every test of this repository; its last line is the score.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'test',
  summary: 'Runs every check and every test',
  arguments: { '[filters...]': "files, and vitest's own options" },
  passesOn: true,
  examples: [
    ['./dbops test', 'everything; servers are started, or installed first'],
    ['CI=true ./dbops test', 'a missing engine is a failure'],
    ['./dbops test apps/cli -t "second up"', 'some tests, after the checks'],
  ],
  run: async c => (await import('../run-tests.ts')).runTests(c),
})
