// `bench`: the measurements of bench/, one folder an area.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'bench',
  summary: 'Measures an area; lists the areas',
  arguments: { '[area]': 'a folder of bench/', '[options...]': 'those of its programs' },
  examples: [
    ['./dbops bench', 'what can be measured'],
    ['./dbops bench dispatch --json', 'the figures, for a table'],
    ['./dbops bench recovery --only worker --times 3', 'three times each, of one fault alone'],
  ],
  passesOn: true,
  run: async c => (await import('../bench.ts')).bench(c),
})
