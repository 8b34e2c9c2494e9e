// `alerts resolve ID`: ends an alert by hand.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'alerts resolve',
  summary: 'Ends an alert whose operation will not succeed again; who was told of it is told',
  arguments: { '<id>': 'its last 8 characters will do' },
  listedBy: './dbops alerts --state firing',
  examples: [
    ['./dbops alerts resolve 8f3a91c2', 'after a mistyped command, or when a dump has left the configuration'],
    ['./dbops alerts resolve 8f3a91c2 --yes --json', 'for scripts: the alert as it stands now'],
  ],
  run: async c => (await import('../resolve-alert.ts')).resolveAlert(c),
})
