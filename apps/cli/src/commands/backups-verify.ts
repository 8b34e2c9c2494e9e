// `backups verify ID`: restores it, and says whether it holds what it should.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'backups verify',
  summary: 'Restores a backup into a throw-away server and checks it; prints the lines that restore it by hand',
  arguments: { '<id>': 'its last 8 characters will do' },
  listedBy: './dbops backups',
  options: {
    '--mutate': 'damages copies of it as well, and demands that each damage is found',
    '--timeout <duration>': 'wait no longer than this; then 5, and the check goes on',
  },
  examples: [
    ['./dbops backups verify 8f3a91c2', '0 only where every check passes'],
    ['./dbops backups verify 8f3a91c2 --mutate', 'the checker is checked with it'],
  ],
  run: async c => (await import('../verify-backup.ts')).verifyBackup(c),
})
