// `backups show ID`: the manifest of a backup, and how it is restored.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'backups show',
  summary: 'The manifest of a backup, and the lines of shell that restore it',
  arguments: { '<id>': 'its last 8 characters will do' },
  listedBy: './dbops backups',
  examples: [
    ['./dbops backups show 8f3a91c2', 'what is in it'],
    [
      "./dbops backups show 8f3a91c2 --json | jq -r '.manifest.restore[]'",
      'the lines that restore it, to be typed in the folder of its files',
    ],
  ],
  run: async c => (await import('../backups.ts')).showBackup(c),
})
