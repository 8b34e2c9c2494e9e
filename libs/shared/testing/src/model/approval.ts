// The approval of a run as a model: its plan made beside it, an asker and another person who answer, cancellation and expiry at any moment, a target that changes meanwhile,
// and an attempt that plans again. Change the model before the protocol; leave a protection out to see what it is for.
import type { Model } from './explore.ts'

export const protections = {
  'other-actor': 'the asker is not the approver',
  'plan-first': 'nothing is approved before its plan is there',
  'state-again': 'an answer looks at the state in the statement that writes it',
  'offer-once': 'a plan is offered only while none is there',
  'plan-again': 'each attempt plans again, and compares with what was approved',
  'row-first': 'an end takes the row in a statement of its own, so that the next one sees the locks of an approval that was at work on it',
  'locks-late': 'a run that waits for its approval wants no locks',
} as const
export type Protection = keyof typeof protections

export interface Size {
  /** How often the target becomes another, so that its plan is another. */
  changes: number
  without: Protection[]
}
export const smallest: Size = { changes: 1, without: [] }

type Person = 'asker' | 'other'
interface State {
  /** Which plan it would be, now. */
  target: number
  /** The plan that the plan's run has made; 0: not yet, −1: it ended badly. */
  made: number
  run: {
    state: 'awaiting' | 'queued' | 'running' | 'done' | 'refused' | 'cancelled'
    shown: number
    approved: number
    by: Person | ''
    locks: boolean
    ends: number
  }
  told: number
  /** A scheduler that has read that the plan is there, and has not offered it yet. */
  offering: boolean[]
  /** What each person has read and not answered yet: the plan that was shown; undefined: has read nothing. */
  read: { [who in Person]: { plan: number; waits: boolean } | undefined }
  /** Ends on their way: what each saw of the locks when its statement began. */
  endings: { to: 'refused' | 'cancelled'; seen: boolean }[]
  left: { changes: number; ends: number }
  broken: string
}

const isFinal = ({ state }: State['run']) => state === 'done' || state === 'refused' || state === 'cancelled'

export function approval(size: Size): Model<State> {
  const has = (protection: Protection) => !size.without.includes(protection)
  const initial: State = {
    target: 1,
    made: 0,
    run: { state: 'awaiting', shown: 0, approved: 0, by: '', locks: !has('locks-late'), ends: 0 },
    told: 0,
    offering: [false, false],
    read: { asker: undefined, other: undefined },
    endings: [],
    left: { changes: size.changes, ends: 2 },
    broken: '',
  }

  function end({ run }: State, to: 'done' | 'refused' | 'cancelled', locksSeen: boolean): void {
    run.state = to
    run.ends++
    if (locksSeen) run.locks = false
  }

  function next(state: State): [string, State][] {
    const ways: [string, State][] = []
    const way = (label: string, change: (n: State) => void) => {
      const n = structuredClone(state)
      change(n)
      ways.push([label, n])
    }
    const { run } = state
    if (state.left.changes)
      way('fault: the target becomes another', n => {
        n.target++
        n.left.changes--
      })
    if (state.made === 0) {
      way('the plan is made', n => void (n.made = n.target))
      way('fault: the plan ends badly', n => void (n.made = -1))
    }
    if (state.made === -1 && run.state === 'awaiting') way('a scheduler refuses the run for its plan', n => end(n, 'refused', true))
    state.offering.forEach((offers, i) => {
      if (!offers && state.made > 0 && run.state === 'awaiting' && !run.shown)
        way(`scheduler ${i} reads that the plan is there`, n => void (n.offering[i] = true))
      if (offers)
        way(`scheduler ${i} offers the plan`, n => {
          n.offering[i] = false
          if (n.run.state !== 'awaiting' || (has('offer-once') && n.run.shown)) return
          n.run.shown = n.made
          n.told++
        })
    })
    for (const who of ['asker', 'other'] as const) {
      const seen = state.read[who]
      if (!seen && run.state === 'awaiting' && (run.shown || !has('plan-first')))
        way(`the ${who} reads the run`, n => void (n.read[who] = { plan: n.run.shown, waits: true }))
      if (seen)
        way(`the ${who} approves`, n => {
          n.read[who] = undefined
          if (has('other-actor') && who === 'asker') return
          if (has('state-again') && n.run.state !== 'awaiting') return
          if (isFinal(n.run)) n.broken ||= 'a run that had ended was queued again'
          Object.assign(n.run, { state: 'queued', approved: seen.plan, by: who, locks: true })
        })
    }
    if (state.left.ends && !isFinal(run) && run.state !== 'running')
      for (const to of ['refused', 'cancelled'] as const)
        way(`fault: somebody begins to end it as ${to}`, n => {
          n.endings.push({ to, seen: n.run.locks })
          n.left.ends--
        })
    state.endings.forEach(({ to, seen }, i) =>
      way(`the end as ${to} has the row`, n => {
        n.endings.splice(i, 1)
        if (n.run.state === 'awaiting' || n.run.state === 'queued') end(n, to, has('row-first') || seen)
      }),
    )
    if (run.state === 'queued') way('an attempt begins', n => void (n.run.state = 'running'))
    if (run.state === 'running')
      way('the attempt plans and works', n => {
        const isAnother = n.target !== n.run.approved
        if (has('plan-again') && isAnother) return end(n, 'refused', true)
        if (isAnother) n.broken ||= 'something was done that nobody had approved'
        if (n.run.by === 'asker') n.broken ||= 'the asker approved it alone'
        end(n, 'done', true)
      })
    // Nobody answers: in the end the reaper does.
    if (run.state === 'awaiting') way('its day is over', n => end(n, 'refused', has('locks-late') || n.run.locks))
    return ways
  }

  function violation({ run, told, broken }: State): string | undefined {
    if (broken) return broken
    if (run.ends > 1) return 'a run ended twice'
    if (told > 1) return 'its approvers were told twice'
    if (isFinal(run) && run.locks) return 'a run that has ended still wants its locks'
    if (run.state === 'awaiting' && run.locks) return 'a run that nobody has approved stands before others in the line for a lock'
    return undefined
  }

  return {
    initial,
    next,
    key: state => JSON.stringify(state),
    violation,
    done: ({ run }) => isFinal(run),
    isFault: label => label.startsWith('fault:'),
  }
}
