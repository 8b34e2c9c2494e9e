// `backups`: what is in the stores with a manifest.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'backups',
  summary: 'Lists the backups that have a manifest, the newest first',
  options: { '--target <name>': 'only of this target', '--limit <n>': { about: 'at most', default: '20' } },
  examples: [
    ['./dbops backups --target core', 'what there is of a target'],
    ["./dbops backups --json | jq -r '[.createdAt, .location] | @tsv'", 'for scripts'],
  ],
  run: async c => (await import('../backups.ts')).backups(c),
})
