// `derive`: writes what follows from the declarations, or says that it has not been written.
import { defineCommand } from '../command.ts'
import { exits } from '../exits.ts'

export const command = defineCommand({
  path: 'derive',
  summary: 'Writes what follows from the declarations',
  options: { '--check': 'write nothing; fail when something would be written' },
  examples: [
    ['./dbops derive', 'after a task was added or changed'],
    ['./dbops derive --check', 'is everything derived?'],
  ],
  async run({ options, print }) {
    const { derive } = await import('../../../../tools/derive-run.ts')
    const { written, stale } = await derive({ check: Boolean(options['check']) })
    print.record({ ok: stale.length === 0, written, stale })
    for (const file of written) print.line(`written  ${file}`)
    for (const file of stale) print.line(`stale    ${file}`)
    if (stale.length) {
      print.line('hint: ./dbops derive')
      return exits.failed
    }
    if (!written.length) print.line('everything is derived')
  },
})
