// `alerts`: what is wrong or was, and who was told.
import type { AlertRow } from '@dbops/ledger/alerts'
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'alerts',
  summary: 'What is wrong or was, the newest first, and who was told',
  options: {
    '--state <state>': { about: 'only these', choices: ['firing', 'resolved'] },
    '--limit <n>': { about: 'at most', default: '20' },
  },
  examples: [
    ['./dbops alerts --state firing', 'what is wrong now'],
    ['./dbops alerts --json | jq \'.deliveries[] | select(.state == "failed")\'', 'what reached nobody'],
  ],
  async run({ options, print, connect }) {
    const [{ listAlerts }, { limitOf }, { clock }, { ago, shortId }] = await Promise.all([
      import('@dbops/ledger/alerts'),
      import('../filters.ts'),
      import('../moment.ts'),
      import('../print.ts'),
    ])
    const limit = limitOf(options['limit'])
    const state = options['state'] as 'firing' | 'resolved' | undefined
    const { ledger, environment } = await connect()
    const now = await ledger.now()
    print.environment(environment)
    print.rows(
      await listAlerts(ledger, { limit, ...(state ? { state } : {}) }),
      [
        { head: 'id', of: a => shortId(a.id), colour: () => 'bold' },
        { head: 'name', of: a => a.name },
        { head: 'severity', wide: true, of: a => a.severity },
        { head: 'target', of: a => a.target },
        { head: 'operation', of: a => a.operation },
        {
          head: 'state',
          of: a => (a.endedBy === null ? a.state : `ended by ${a.endedBy}`),
          colour: a => (a.state === 'firing' ? 'red' : 'green'),
        },
        { head: 'since', wide: true, of: a => clock(a.since, now) },
        { head: 'ago', of: a => ago(a.since, now), right: true },
        { head: 'told', of: a => toldWords(a.deliveries) },
      ],
      state === 'firing' ? 'nothing is wrong' : 'nothing was ever wrong; ./dbops events shows what was told',
    )
  },
})

/** `desk delivered ×2, hook failed`. */
function toldWords(deliveries: AlertRow['deliveries']): string {
  const counts = Map.groupBy(deliveries, ({ channel, state }) => `${channel} ${state}`)
  return [...counts].map(([words, all]) => (all.length > 1 ? `${words} ×${all.length}` : words)).join(', ') || 'nobody: no route has it'
}
