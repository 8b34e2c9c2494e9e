// The rules about when work may begin: windows and blackouts. Pure: time is an argument, and a verdict says which rule spoke and why.
import type { Blackout, ConfigFile } from '@dbops/contract/config-file'
import { instantOf } from '@dbops/contract/local-time'
import { isOpen, nextOpening } from '@dbops/contract/windows'
import type { Verdict } from '@dbops/ledger/runs'

export interface Question {
  task: string
  target: string | null
  window?: { name: string } | undefined
}
type Rules = Pick<ConfigFile, 'windows' | 'blackouts' | 'zone'>

/** May this begin now? Asked at the birth of a run and at every dispatch. */
export function judge(question: Question, rules: Rules, now: Date): Verdict {
  const blackout = rules.blackouts.find(b => covers(b, question, rules.zone, now))
  if (blackout) {
    const until = moment(blackout.to, rules.zone)
    return { verdict: 'wait', until, rule: 'blackout', reason: `blackout "${blackout.reason}" until ${until.toISOString()}` }
  }
  const name = question.window?.name
  const window = name === undefined ? undefined : rules.windows[name]
  if (name === undefined || !window || isOpen(window, rules.zone, now)) return { verdict: 'allow' }
  const opens = nextOpening(window, rules.zone, now)
  return { verdict: 'wait', until: opens, rule: 'window', reason: `window "${name}" opens ${opens.toISOString()}` }
}

const covers = (b: Blackout, { task, target }: Question, zone: string, now: Date): boolean =>
  (b.targets === undefined || (target !== null && b.targets.includes(target))) &&
  !b.except.includes(task) &&
  moment(b.from, zone) <= now &&
  now < moment(b.to, zone)

// The reader of the configuration has refused what is no moment.
const moment = (text: string, zone: string): Date => instantOf(text, zone)!
