// The rules about what may begin, and when: forbidden work, windows and blackouts. Pure: time is an argument, and a verdict says which rule spoke and why.
import { taskNamed } from '@dbops/catalog/catalog'
import type { Blackout, ConfigFile, Window } from '@dbops/contract/config-file'
import { instantOf, localText } from '@dbops/contract/local-time'
import type { Effect } from '@dbops/contract/task'
import { isOpen, nextClosing, nextOpening } from '@dbops/contract/windows'
import type { Run, Verdict } from '@dbops/ledger/runs'

export interface Question {
  task: string
  target: string | null
  window?: { name: string } | undefined
  /** Default: the task's own. */
  effect?: Effect
  /** How long the work takes, ms; left out while nobody knows it yet. */
  lasts?: number
}
type Rules = Pick<ConfigFile, 'windows' | 'blackouts' | 'zone' | 'policies' | 'environment'>

/** May this begin now? Asked at the birth of a run, at its approval and at every dispatch. */
export function judge(question: Question, rules: Rules, now: Date): Verdict {
  const forbidden = ddl(question, rules)
  if (forbidden) return forbidden
  const blackout = rules.blackouts.find(b => covers(b, question, rules.zone, now))
  if (blackout) {
    const until = moment(blackout.to, rules.zone)
    return { verdict: 'wait', until, rule: 'blackout', reason: `blackout "${blackout.reason}" until ${localText(until, rules.zone)}` }
  }
  const name = question.window?.name
  const window = name === undefined ? undefined : rules.windows[name]
  if (name !== undefined && window && !isOpen(window, rules.zone, now)) {
    const opens = nextOpening(window, rules.zone, now)
    return { verdict: 'wait', until: opens, rule: 'window', reason: `window "${name}" opens ${localText(opens, rules.zone)}` }
  }
  return question.task === 'pg.vacuum-full' ? vacuumFull(question, rules, now) : { verdict: 'allow' }
}

/** What a run in the ledger asks. Its plan's forecast says how long it takes, else its timeout. */
export function questionOf({
  task,
  target,
  spec,
  plan,
  timeoutMs,
}: Pick<Run, 'task' | 'target' | 'spec' | 'plan' | 'timeoutMs'>): Question {
  const seconds = (plan as { forecast?: { seconds?: unknown } } | null)?.forecast?.seconds
  return { task, target, window: spec.window, lasts: typeof seconds === 'number' ? Math.min(1_000 * seconds, timeoutMs) : timeoutMs }
}

/** Definitions are changed by migrations, not by us; maintenance has another effect (contract/task.ts). */
function ddl({ task, effect = taskNamed(task)?.effect }: Question, { policies, environment }: Rules): Verdict | undefined {
  if (effect !== 'ddl' || !policies['forbid-ddl'].environments.includes(environment)) return undefined
  return {
    verdict: 'refuse',
    rule: 'forbid-ddl',
    reason: `${task} changes definitions, which is forbidden in ${environment}`,
    hint: 'make it a migration, or change policies.forbid-ddl',
  }
}

/** Of the policy, where the configuration has no window of that name. */
const operatingHours: Window = { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '09:00', to: '18:00' }

/** VACUUM FULL shuts everybody out of a table: it is done outside the forbidden window, and wholly. */
function vacuumFull({ lasts = 0 }: Question, { policies, windows, zone }: Rules, now: Date): Verdict {
  const rule = 'forbid-vacuum-full'
  const name = policies[rule].window
  const hours = windows[name] ?? operatingHours
  const wait = (until: Date, reason: string): Verdict => ({ verdict: 'wait', until, rule, reason })
  if (isOpen(hours, zone, now)) {
    const until = nextClosing(hours, zone, now)
    return wait(until, `VACUUM FULL is forbidden in "${name}", until ${localText(until, zone)}`)
  }
  const opens = nextOpening(hours, zone, now)
  const startBy = new Date(opens.getTime() - lasts)
  if (now <= startBy) return { verdict: 'allow', rule, startBy, until: opens }
  const minutes = Math.ceil(lasts / 60_000)
  // A week holds every gap that there is.
  for (let at = nextClosing(hours, zone, opens); at.getTime() < now.getTime() + 8 * 86_400_000; ) {
    const next = nextOpening(hours, zone, at)
    if (next.getTime() - at.getTime() >= lasts)
      return wait(at, `it takes about ${minutes} min, and "${name}" opens ${localText(opens, zone)}: it waits until ${localText(at, zone)}`)
    at = nextClosing(hours, zone, next)
  }
  return {
    verdict: 'refuse',
    rule,
    reason: `it takes about ${minutes} min, and "${name}" never leaves that much time`,
    hint: 'name fewer tables, or repack the table online',
  }
}

const covers = (b: Blackout, { task, target }: Question, zone: string, now: Date): boolean =>
  (b.targets === undefined || (target !== null && b.targets.includes(target))) &&
  !b.except.includes(task) &&
  moment(b.from, zone) <= now &&
  now < moment(b.to, zone)

// The reader of the configuration has refused what is no moment.
const moment = (text: string, zone: string): Date => instantOf(text, zone)!
