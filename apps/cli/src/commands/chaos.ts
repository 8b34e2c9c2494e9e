// `chaos`: an installation of its own under faults, and the judgement of its history.
import { defineCommand } from '../command.ts'

const amount = (least: number, most: number) => (text: string) => {
  const n = Number(text)
  if (text.trim() === '' || !(n >= least && n <= most)) throw new RangeError(`a number from ${least} to ${most}`)
  return n
}
const whole = (least: number, most: number) => (text: string) => {
  const n = amount(least, most)(text)
  if (!Number.isInteger(n)) throw new RangeError('a whole number')
  return n
}

export const command = defineCommand({
  path: 'chaos',
  summary: 'Attacks an installation of its own and judges what became of it',
  options: {
    '--minutes <n>': { about: 'how long faults come', default: '2', parse: amount(0.1, 600) },
    '--seed <n>': { about: 'the same seed draws the same faults', default: '1', parse: whole(0, 2 ** 32 - 1) },
    '--every <ms>': { about: 'milliseconds between two faults, on the average', default: '1500', parse: amount(100, 3_600_000) },
    '--faults <file>': 'the faults of an earlier run, in place of a seed',
  },
  examples: [
    ['./dbops chaos', 'two minutes of kills, cuts, lost replies, emptied Redis, a ledger that crashes'],
    ['./dbops chaos --minutes 10 --seed 7', 'longer, with other faults'],
    ['./dbops chaos --json', 'counts and violations, for a machine'],
  ],
  run: async c => (await import('../chaos.ts')).chaos(c),
})
