// Judges a history: what must be true of it whatever happened, in rules that know nothing of how it came about.
import type { Asked } from './asked.ts'
import type { Effect, History } from './read-history.ts'

export interface Violation {
  rule: string
  what: string
  evidence: unknown
}
interface Rule {
  says: string
  find(h: History, asked: Asked): Iterable<{ what: string; evidence?: unknown }>
}

const final = ['succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped']
const short = (id: string) => id.slice(-8)

export const rules: Rule[] = [
  {
    says: 'every planned slot ends in exactly one final state',
    *find(h, asked) {
      for (const schedule of asked.schedules) {
        const times = new Map<number, string[]>()
        for (const run of h.runs.filter(one => one.schedule === schedule.name && one.target === schedule.target && one.slot)) {
          const covered = slotsOf(schedule, run.slot!, run.slotTo ?? run.slot!)
          if (covered.length !== run.slots)
            yield { what: `${schedule.name}: ${short(run.id)} counts ${run.slots} slots and covers ${covered.length}`, evidence: run }
          for (const slot of covered) times.set(slot, [...(times.get(slot) ?? []), run.state])
        }
        for (const slot of slotsOf(schedule, asked.from, asked.to)) {
          const states = times.get(slot) ?? []
          if (states.length !== 1 || !final.includes(states[0]!))
            yield { what: `${schedule.name}, slot ${new Date(slot).toISOString()}: ${states.length ? states.join(' and ') : 'nothing'}` }
        }
      }
    },
  },
  {
    says: 'every run has ended',
    *find(h) {
      for (const run of h.runs)
        if (!final.includes(run.state)) yield { what: `${run.operation} ${short(run.id)} is ${run.state}`, evidence: run }
    },
  },
  {
    says: 'a run goes from birth to its end by the ways that there are',
    *find(h) {
      const steps = grouped(h.steps, step => step.run)
      for (const run of h.runs) {
        const path = (steps.get(run.id) ?? []).map(step => step.event)
        const wrong = wrongStep(path)
        if (wrong) yield { what: `${run.operation} ${short(run.id)}: ${wrong}`, evidence: path }
      }
    },
  },
  {
    says: 'no run has more attempts than it may',
    *find(h) {
      for (const run of h.runs)
        if (run.mode !== 'recover' && run.attempt > run.attempts) yield { what: `${short(run.id)}: ${run.attempt} of ${run.attempts}` }
    },
  },
  {
    says: 'a fence is given once',
    *find(h) {
      for (const [fence, steps] of grouped(
        h.steps.filter(step => step.event === 'claimed'),
        step => String(step.fence),
      ))
        if (steps.length > 1) yield { what: `fence ${fence}`, evidence: steps }
    },
  },
  {
    says: 'every command that was accepted has exactly one run, and every run of a command its command',
    *find(h, asked) {
      for (const one of asked.commands) {
        if (one.answers !== 1) yield { what: `${one.verb} ${one.key}: ${one.answers} different answers`, evidence: one }
        if (one.accepted && one.run && !h.runs.some(run => run.id === one.run))
          yield { what: `${one.verb} ${one.key}: there is no run ${one.run}` }
      }
      const answered = asked.commands.filter(one => one.run !== null).map(one => one.run)
      for (const run of h.runs.filter(one => one.actor === asked.actor)) {
        const times = answered.filter(id => id === run.id).length
        if (times !== 1) yield { what: `${run.operation} ${short(run.id)}: born for ${times} commands`, evidence: run }
      }
    },
  },
  {
    says: 'no two fences overlap in what they did, and the later one is the higher',
    *find(h) {
      const runOf = new Map(h.steps.filter(step => step.event === 'claimed').map(step => [step.fence!, step.run]))
      const spans = spansOf(h.effects)
      for (const [i, a] of spans.entries())
        for (const b of spans.slice(i + 1)) {
          const sameRun = runOf.get(a.fence) !== undefined && runOf.get(a.fence) === runOf.get(b.fence)
          if (!sameRun && a.what !== b.what) continue
          const [first, second] = a.fence < b.fence ? [a, b] : [b, a]
          if (first.last >= second.first)
            yield {
              what: `fence ${first.fence} did "${first.what}" until after fence ${second.fence} had begun`,
              evidence: [first, second],
            }
        }
      for (const { fence, what } of spans) if (!runOf.has(fence)) yield { what: `fence ${fence} did "${what}" and was never given` }
    },
  },
  {
    says: 'every effect is there once',
    *find(h) {
      for (const [key, effects] of grouped(h.effects, one => `${one.what} ${one.key}`))
        if (effects.length > 1) yield { what: key, evidence: effects }
    },
  },
  {
    // A batch whose process died between its commit and its word is in no count: then it is at least what was said.
    says: 'a purge that says how many rows went tells the truth',
    *find(h) {
      const claims = grouped(
        h.steps.filter(step => step.event === 'claimed'),
        step => step.run,
      )
      const done = grouped(
        h.effects.filter(one => one.what.startsWith('purge')),
        one => String(fenceOf(one)),
      )
      for (const run of h.runs.filter(one => one.task === 'pg.purge' && one.state === 'succeeded' && one.mode === 'do')) {
        const said = (run.result as { deleted?: number } | null)?.deleted
        const attempts = claims.get(run.id) ?? []
        const seen = attempts.reduce((sum, step) => sum + (done.get(String(step.fence))?.length ?? 0), 0)
        if (said === undefined || said > seen || (said < seen && attempts.length === 1))
          yield { what: `${short(run.id)} says ${said}, and ${seen} went`, evidence: run.result }
      }
    },
  },
  {
    says: 'an ended run holds and wants nothing',
    *find(h) {
      const states = new Map(h.runs.map(run => [run.id, run.state]))
      for (const lock of h.locks)
        if (final.includes(states.get(lock.run) ?? 'gone')) yield { what: `${short(lock.run)}: ${lock.name}`, evidence: lock }
    },
  },
  {
    says: 'the end of a run is told by exactly one event',
    *find(h) {
      const ends = new Set(endEvents)
      const told = grouped(
        h.outbox.filter(one => one.run && ends.has(one.event)),
        one => one.run!,
      )
      for (const run of h.runs.filter(one => one.mode === 'do' && one.state !== 'skipped' && one.cause.kind !== 'recover')) {
        const events = told.get(run.id) ?? []
        if (events.length !== 1)
          yield { what: `${run.operation} ${short(run.id)} ${run.state}: ${events.length} events`, evidence: events.map(one => one.event) }
      }
    },
  },
  {
    says: 'every event is published, and in one order',
    *find(h) {
      for (const row of h.outbox) if (row.ord === null) yield { what: `${row.event} ${short(row.id)} was never published` }
      const orders = h.outbox.map(row => row.ord)
      if (new Set(orders).size !== orders.length) yield { what: 'two events have one place' }
    },
  },
  {
    says: 'every event reaches every registered reader',
    *find(h, asked) {
      for (const reader of asked.readers) {
        const seen = new Set(h.readers[reader])
        for (const row of h.outbox)
          if (!seen.has(row.id)) yield { what: `${reader} has not seen ${row.event} ${short(row.id)} (place ${row.ord})` }
      }
    },
  },
  {
    says: 'every event that opens or ends an alert was decided upon, and what was read is what was written',
    *find(h) {
      const decided = new Set(h.decisions.map(one => one.event))
      for (const row of h.outbox)
        if (alarms.has(row.event) && !decided.has(row.id)) yield { what: `nobody decided upon ${row.event} ${short(row.id)}` }
      const written = new Set(h.outbox.map(row => row.id))
      for (const row of h.inbox) if (!written.has(row.event)) yield { what: `${row.consumer} had ${short(row.event)}, which nobody wrote` }
    },
  },
  {
    // Duplicates of an event set off no second run, and are not counted twice into the one that is to come.
    says: 'an event sets off the runs that wait for it once',
    *find(h, asked) {
      for (const { name, event } of asked.triggered) {
        const of = h.runs.filter(run => run.schedule === name)
        const counted = of.reduce((sum, run) => sum + (run.cause.kind === 'event' ? (run.cause.events ?? 0) : 0), 0)
        const told = h.outbox.filter(row => row.event === event).length
        // Of a run that was skipped, in a pause, nobody knows for how many it was.
        if (counted > told || (counted < told && !of.some(run => run.state === 'skipped')))
          yield { what: `${told} times ${event}, and ${name} ran for ${counted}`, evidence: of.map(run => run.cause) }
      }
    },
  },
  {
    says: 'nothing is left pending, and no reader is behind',
    *find(h) {
      for (const group of h.groups) {
        if (group.pending) yield { what: `${group.name}: ${group.pending} pending` }
        if (group.behind) yield { what: `${group.name} has not read to the end` }
      }
      for (const one of h.failures) yield { what: `${one.consumer} still counts failures of ${one.entry}` }
    },
  },
  {
    says: 'dead letters are exactly the poison, with its reason',
    *find(h, asked) {
      for (const letter of h.deadLetters)
        if (!asked.poison.some(one => one.entryId === letter.entry)) yield { what: `${letter.entry} was no poison`, evidence: letter }
      for (const one of asked.poison) {
        const letters = h.deadLetters.filter(letter => letter.entry === one.entryId)
        // Gone from the stream with a Redis that was emptied, it may never have been read.
        if (!letters.length && h.entries.some(entry => entry.id === one.entryId))
          yield { what: `${one.entryId} was not set aside`, evidence: one }
        for (const letter of letters)
          if (!new RegExp(one.reason).test(letter.reason)) yield { what: `${one.entryId}: ${letter.reason}`, evidence: one }
      }
    },
  },
  {
    says: 'no listed backup is bad, and every sealed one is listed',
    *find(h) {
      for (const one of h.artifacts) {
        const place = h.places.find(each => each.store === one.store && each.place === one.place)
        if (!place || place.void) yield { what: `${one.place} is listed and ${place ? 'void' : 'not there'}` }
        else if (place.bad.length) yield { what: `${one.place}: ${place.bad.join(', ')} is not as its manifest says` }
      }
      for (const place of h.places)
        if (!place.void && !h.artifacts.some(one => one.store === place.store && one.place === place.place))
          yield { what: `${place.place} is sealed and not listed` }
      const makers = new Set(h.artifacts.map(one => one.run))
      for (const run of h.runs)
        if (run.task === 'pg.dump' && run.mode === 'do' && run.state === 'succeeded' && !makers.has(run.id))
          yield { what: `${short(run.id)} has succeeded and made no backup` }
      for (const { store, file } of h.strays) yield { what: `${file} in ${store} belongs to nothing` }
      for (const [run, all] of grouped(h.artifacts, one => one.run))
        if (all.length > 1) yield { what: `${short(run)} made ${all.length} backups` }
    },
  },
  {
    says: 'every alert has ended, or is still true',
    *find(h) {
      for (const one of h.episodes) {
        if (one.state !== 'firing') continue
        const later = h.outbox.filter(row => row.operation === one.operation && endOf[one.name]?.includes(row.event) && row.at > one.lastAt)
        if (later.length) yield { what: `${one.name} ${one.operation} fires, though ${later[0]!.event} came after it`, evidence: one }
      }
      for (const [key, all] of grouped(
        h.episodes.filter(one => one.state === 'firing'),
        one => `${one.name} ${one.target} ${one.operation}`,
      ))
        if (all.length > 1) yield { what: `${key} fires ${all.length} times` }
    },
  },
  {
    says: 'a notification’s key belongs to one notice, and what is called delivered was taken',
    *find(h) {
      const known = new Map(h.deliveries.map(one => [one.key, one]))
      for (const one of h.deliveries) {
        if (one.key !== `${one.episode}:${one.channel}:${one.state}:${one.nth}`)
          yield { what: `the key ${one.key} is not that of its notice`, evidence: one }
        if (one.status === 'pending') yield { what: `${one.key} was never closed` }
        const taken = h.notifications.some(each => each.key === one.key && each.status >= 200 && each.status < 300)
        if (one.status === 'delivered' && !taken) yield { what: `${one.key} is called delivered, and the receiver never took it` }
      }
      for (const one of h.notifications) if (!known.has(one.key)) yield { what: `the receiver got ${one.key}, which nobody wrote` }
    },
  },
  {
    says: 'what the platform told became exactly one event',
    *find(h, asked) {
      const told = h.outbox.filter(row => row.event === 'data_registered')
      for (const id of asked.platformEvents) {
        const events = told.filter(row => row.text.includes(id))
        if (events.length !== 1) yield { what: `${id} became ${events.length} events` }
      }
    },
  },
]

export const checkHistory = (history: History, asked: Asked): Violation[] =>
  rules.flatMap(({ says, find }) => [...find(history, asked)].map(({ what, evidence }) => ({ rule: says, what, evidence })))

/** The moments from `from` to `to`, both inclusive, at which it is due: without any cron. */
export function slotsOf({ offset, every }: Pick<Asked['schedules'][number], 'offset' | 'every'>, from: Date, to: Date): number[] {
  const slots: number[] = []
  for (let at = Math.ceil(from.getTime() / 1_000) * 1_000; at <= to.getTime(); at += 1_000) {
    const second = (at / 1_000) % 60
    if (second >= offset && (second - offset) % every === 0) slots.push(at)
  }
  return slots
}

/** Events that tell how a run ended; each task has its own. */
const endEvents =
  'run_succeeded run_failed run_cancelled run_refused backup_completed backup_failed vacuum_completed vacuum_failed analyze_completed analyze_failed cleanup_completed cleanup_failed mv_refresh_completed mv_refresh_failed'.split(
    ' ',
  )
const alarms = new Set(['backup_failed', 'run_failed', 'vacuum_failed', 'analyze_failed', 'cleanup_failed', 'mv_refresh_failed'])
const endOf: Record<string, string[]> = {
  backup_failed: ['backup_completed'],
  vacuum_failed: ['vacuum_completed'],
  analyze_failed: ['analyze_completed'],
  cleanup_failed: ['cleanup_completed'],
  mv_refresh_failed: ['mv_refresh_completed'],
  run_failed: ['run_succeeded'],
}

function wrongStep(path: string[]): string | undefined {
  if (path[0] !== 'born' && path[0] !== 'skipped') return `begins with ${path[0] ?? 'nothing'}`
  const ends = path.filter(step => final.includes(step) || step === 'adopted')
  if (ends.length > 1) return `ends ${ends.length} times: ${ends.join(', ')}`
  let state = 'waits'
  for (const [i, step] of path.entries()) {
    const next = follow(state, step)
    if (!next) return `${step} while it ${state} (step ${i + 1})`
    state = next
  }
  return undefined
}
/** The state after a step, or undefined where that step cannot be: docs/concepts.md, "The states of a run". */
function follow(state: string, step: string): string | undefined {
  const waits = ['born', 'dispatched', 'sent_back', 'postponed', 'woken', 'end_deferred', 'approval_wanted', 'approved']
  if (state === 'has ended') return undefined
  if (step === 'claimed') return state === 'waits' ? 'works' : undefined
  if (['retry', 'later', 'released', 'waits', 'lost', 'parked'].includes(step)) return state === 'works' ? 'waits' : undefined
  if (step === 'cancel_asked') return state === 'works' ? 'works' : undefined
  if (step === 'succeeded' && state !== 'works') return undefined
  if (step === 'adopted' || final.includes(step)) return 'has ended'
  if (waits.includes(step)) return state === 'waits' ? 'waits' : undefined
  return undefined
}

const fenceOf = ({ app }: Effect) => Number(/^dbops:[0-9a-f]+:(\d+):/.exec(app)?.[1])
interface Span {
  fence: number
  what: string
  first: number
  last: number
}
/** Of each fence and kind, from its first effect to the commit of its last. */
function spansOf(effects: Effect[]): Span[] {
  return [...grouped(effects, one => `${fenceOf(one)} ${one.target} ${one.what}`).values()].map(all => ({
    fence: fenceOf(all[0]!),
    what: all[0]!.what,
    first: Math.min(...all.map(one => one.at.getTime())),
    last: Math.max(...all.map(one => one.committed.getTime())),
  }))
}

function grouped<T>(all: T[], keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const one of all) {
    const key = keyOf(one)
    const group = groups.get(key)
    if (group) group.push(one)
    else groups.set(key, [one])
  }
  return groups
}
