// `workers`: the processes that do the work.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'workers',
  summary: 'The services: alive, ready, of which version and catalogue',
  examples: [
    ['./dbops workers', 'who is there'],
    ["./dbops workers --json | jq 'select(.sameCatalog | not)'", 'who knows other tasks than this program'],
  ],
  run: async c => (await import('../workers.ts')).workers(c),
})
