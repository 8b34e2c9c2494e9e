// `run TASK`: one command for each task of the catalogue, its flags those of the task's parameters.
import { type Command, defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'run',
  summary: 'Runs a task now',
  arguments: { '[task]': 'one of the commands above; each has its own --help' },
  examples: [
    ['./dbops run pg.vacuum --help', 'the flags of a task'],
    ['./dbops run pg.vacuum --tables core.event_outbox --dry-run', 'what would be done'],
    ['./dbops run pg.vacuum --tables core.event_outbox --wait', 'do it, and end as it ends'],
  ],
  passesOn: true,
  async children() {
    const { catalog } = await import('@dbops/catalog/catalog')
    const { exampleOf, optionsOf } = await import('../runs/task-flags.ts')
    return catalog.tasks.map(
      (task): Command => ({
        path: `run ${task.name}`,
        summary: task.summary,
        options: {
          ...optionsOf(task),
          ...(task.on === 'target'
            ? { '--target <name>': `the target; may be left out where there is only one of ${task.engine}, or a named entry says it` }
            : {}),
          ...(task.plans ? { '--dry-run': 'only say what would be done' } : {}),
          '--wait': 'wait for the end; the exit code is that of the run: 1 failed, 4 refused',
          '--timeout <duration>': 'wait no longer than this; then 5, and the run goes on',
          '--key <key>': 'asked again with the same key, it is not run again, for 90 days',
        },
        examples: [
          [`${exampleOf(task)} --wait`, 'and wait for its end'],
          ...(task.plans ? ([[`${exampleOf(task)} --dry-run`, 'what would be done']] satisfies Command['examples']) : []),
        ],
        run: async c => (await import('../runs/start-run.ts')).startRun(c, task),
      }),
    )
  },
  async run({ args }) {
    const [{ catalog }, { nearMiss }, { Failed }] = await Promise.all([
      import('@dbops/catalog/catalog'),
      import('@dbops/contract/names'),
      import('../fail.ts'),
    ])
    const [word] = args as string[]
    if (!word || word.startsWith('-'))
      throw new Failed('wrong', 'which task?', { code: 'no_task', hint: './dbops run --help lists them; its name comes first' })
    const names = catalog.tasks.map(({ name }) => name)
    throw new Failed('wrong', `there is no task "${word}"`, {
      code: 'unknown_task',
      hint: nearMiss(word, names) ?? './dbops run --help lists them',
    })
  },
})
