// `runs`: what was run, is run and waits, the newest first.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'runs',
  summary: 'Lists runs, the newest first',
  options: {
    '--state <state>': { about: 'only of this state; again or comma-separated', repeat: true },
    '--task <task>': 'only of this task',
    '--target <name>': 'only on this target',
    '--since <time>': 'only queued since: 2h, 7d, 2026-12-31T22:00',
    '--limit <n>': { about: 'at most', default: '20' },
  },
  examples: [
    ['./dbops runs', 'the last 20'],
    ['./dbops runs --state failed,timed_out --since 24h', 'what went wrong since yesterday'],
    ['./dbops runs --json | jq -r .error.message', 'for scripts'],
  ],
  async run({ options, print, connect }) {
    const [{ list, states }, { summedUp }, { limitOf, wordsOf }, { momentBefore }, { mustExist }, { runColumns, runRecord }] =
      await Promise.all([
        import('@dbops/ledger/runs'),
        import('@dbops/ledger/sizes'),
        import('../filters.ts'),
        import('../moment.ts'),
        import('../pauses.ts'),
        import('../runs/run-record.ts'),
      ])
    const wanted = wordsOf('--state', options['state'], states)
    const limit = limitOf(options['limit'])
    const { ledger, environment } = await connect()
    const now = await ledger.now()
    const [task, target, since] = [options['task'], options['target'], options['since']] as (string | undefined)[]
    const from = since ? momentBefore('--since', since, now) : undefined
    const found = await list(ledger, {
      limit,
      ...(wanted ? { states: wanted } : {}),
      ...(task ? { task } : {}),
      ...(target ? { target } : {}),
      ...(from ? { since: from } : {}),
    })
    // What has left the configuration or the catalogue still has its history.
    if (!found.length && task !== undefined) await mustExist(ledger, { scope: 'task', name: task })
    if (!found.length && target !== undefined) await mustExist(ledger, { scope: 'target', name: target })
    print.environment(environment)
    const none =
      wanted || task || target || since
        ? 'no run like that; ./dbops runs lists all'
        : 'nothing was run yet; ./dbops schedules shows what comes, ./dbops run --help what can be run now'
    print.rows(found.map(runRecord), runColumns(now), none)
    const { to } = await summedUp(ledger)
    if (to && from && from <= new Date(to)) print.line(print.colour('dim', `runs up to ${to} are summed up by day: ./dbops ledger status`))
  },
})
