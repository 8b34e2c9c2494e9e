// `pause` and `resume`: what is meant is named exactly, and checked against what there is.
import { catalog } from '@dbops/catalog/catalog'
import { nearMiss } from '@dbops/contract/names'
import type { Ledger } from '@dbops/ledger/ledger'
import { type scopes, standing } from '@dbops/ledger/pauses'
import { listSchedules, listTargets } from '@dbops/ledger/schedules'
import type { Context } from './command.ts'
import { doDeed } from './deed.ts'
import { Failed } from './fail.ts'
import { coming, momentAfter } from './moment.ts'
import { pauseOf } from './schedules.ts'

interface Scope {
  scope: (typeof scopes)[number]
  name: string | null
}

export async function pauseScope({ args, options, print, connect, confirm }: Context): Promise<void> {
  const scope = scopeOf(args, options)
  const text = options['until'] as string | undefined
  if (!text)
    throw new Failed('wrong', 'until when?', {
      code: 'no_until',
      hint: '--until 2h, or --until 2026-12-31T22:00: nothing is paused for ever',
    })
  const connection = await connect()
  const { ledger, environment, config, actor } = connection
  await mustExist(ledger, scope)
  const now = await ledger.now()
  const until = momentAfter('--until', text, now, config?.zone)
  await confirm(environment, `pause ${scopeWords(scope)} until ${coming(until, now, config?.zone)}`)
  const { id = '' } = await doDeed(connection, 'pause', { ...scope, until })
  print.environment(environment)
  print.record({ id, ...scope, until, actor })
  print.line(`${scopeWords(scope)} is paused until ${coming(until, now, config?.zone)}`)
  const idle = (await listSchedules(ledger)).filter(
    s => s.enabled && s.dueAt && s.dueAt < until && pauseOf([{ ...scope, id, until, actor, createdAt: now }], s, s.dueAt),
  )
  print.line(
    `${idle.length} schedule${idle.length === 1 ? ' has' : 's have'} slots that will be skipped${idle.length ? `: ${idle.map(({ name }) => name).join(', ')}` : ''}`,
  )
  print.line(print.colour('dim', 'what is queued or runs goes on: ./dbops runs --state queued,running,parked'))
}

export async function resumeScope({ args, options, print, connect, confirm }: Context): Promise<void> {
  const scope = scopeOf(args, options)
  const connection = await connect()
  const { ledger, environment, config } = connection
  await mustExist(ledger, scope)
  await confirm(environment, `resume ${scopeWords(scope)}`)
  const { lifted = 0 } = await doDeed(connection, 'resume', scope)
  const now = await ledger.now()
  print.environment(environment)
  print.record({ ...scope, lifted })
  print.line(lifted ? `${scopeWords(scope)} is resumed` : `${scopeWords(scope)} was not paused`)
  for (const left of await standing(ledger))
    print.line(print.colour('yellow', `still paused: ${scopeWords(left)}, by ${left.actor} until ${coming(left.until, now, config?.zone)}`))
}

/** One of a schedule, `--target`, `--task` and `--all`. */
function scopeOf([schedule]: Context['args'], options: Context['options']): Scope {
  const named: Scope[] = []
  if (typeof schedule === 'string') named.push({ scope: 'schedule', name: schedule })
  for (const scope of ['target', 'task'] as const) if (typeof options[scope] === 'string') named.push({ scope, name: options[scope] })
  if (options['all']) named.push({ scope: 'all', name: null })
  const [one, another] = named
  if (!one || another)
    throw new Failed('wrong', one ? 'more than one is named' : 'what is meant?', {
      code: 'bad_scope',
      hint: 'name one: a schedule, --target T, --task T, or --all',
    })
  return one
}

/** Fails with exit 2 for a name that nothing has. */
export async function mustExist(ledger: Ledger, { scope, name }: Scope): Promise<void> {
  if (name === null) return
  const known =
    scope === 'schedule'
      ? (await listSchedules(ledger)).map(schedule => schedule.name)
      : scope === 'target'
        ? (await listTargets(ledger)).map(target => target.name)
        : catalog.tasks.map(task => task.name)
  if (known.includes(name)) return
  const all = [...new Set(known)].join(', ')
  throw new Failed('wrong', `there is no ${scope} "${name}"`, {
    code: `unknown_${scope}`,
    hint: nearMiss(name, known) ?? (all ? `there ${known.length > 1 ? 'are' : 'is'} ${all}` : 'none is configured'),
  })
}

const scopeWords = ({ scope, name }: Scope) => (name === null ? 'everything' : `${scope} ${name}`)
