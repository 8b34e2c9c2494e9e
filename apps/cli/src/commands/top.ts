// `top`: which statements cost the most.
import { orders } from '@dbops/ledger/statements'
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'top',
  summary: 'The statements that cost the most in a window of time, by what pg_stat_statements counted',
  options: {
    '--window <time>': { about: 'how far back: 1h, 7d, 2026-12-31T22:00; 14d are kept', default: '24h' },
    '--target <name>': 'only of this target',
    '--by <order>': { about: 'what counts', choices: orders, default: 'total' },
    '--limit <n>': { about: 'at most', default: '10' },
    '--nested': 'statements that others call (functions), instead of those that clients send',
    '--own': 'with the statements of our own role',
  },
  examples: [
    ['./dbops top', 'the ten that took the most time since yesterday'],
    ['./dbops top --window 1h --by mean --target core', 'the slowest of the last hour'],
    ["./dbops top --json | jq -r '[.totalMs, .calls, .text] | @tsv'", 'for scripts'],
  ],
  run: async c => (await import('../top.ts')).top(c),
})
