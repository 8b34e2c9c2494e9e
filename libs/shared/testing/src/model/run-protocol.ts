// The run protocol as a model: a scheduler, two workers that may sleep before any step for any time, the ledger, the queue, one target under
// one lock and one artifact store. Change the model before the protocol; leave a protection out to see what it is for.
import type { Model } from './explore.ts'

/** Each protection of the protocol, by the name under which it can be left out. */
export const protections = {
  'dispatch-number': 'every return to queued counts the dispatch up, and a claim names the dispatch of its job',
  'delivery-key': 'a claim is answered twice only to the delivery that made it, not to the job',
  'claim-renews': 'a claim that is answered again renews the lease in the same statement',
  lock: 'a claim looks at the lock',
  evict: 'whoever claims first terminates the sessions of attempts that were taken away',
  'strike-seen': 'only the fences whose sessions were terminated are struck off',
  recheck: 'the lease is looked at once more after the connect',
  'sent-clock': 'a lease counts from the moment the heartbeat was sent, not from its reply',
  'heartbeat-state': 'a heartbeat renews nothing that is not running',
  'end-fence': 'the end is written only under the fence that the run has',
  'end-state': 'the end is written only while the run is running',
  'close-first': 'the session is closed before an end, a park or a release is written',
  'park-locks': 'a parked run keeps its locks',
  'park-attempt': 'park gives its attempt back',
  'parked-recover': 'a parked run that is ended from outside hands its locks to a recover run first',
  recover: 'a lost attempt is followed by a recover run',
  'hand-on': "the locks go from the lost attempt to the recover run in the reaper's statement",
  'recover-locks': 'a lost attempt of a recover run keeps its locks',
  behind: 'the run waits for its recover run by name, not only by the lock',
  'verdict-waits': 'what becomes of the run is written at the end of its recover run, not when the attempt is lost',
  'recover-endless': 'a recover run has no deadline and cannot be cancelled',
  'kept-locks': 'a recover run, or a run that was parked, keeps its locks when it returns to the queue before it did its work',
  'failed-undo': 'a bad end whose own recovery fails hands its locks to a recover run, as a lost attempt does',
  undo: 'a bad end in a living process recovers before it is written',
  'seal-exclusive': 'the manifest is created exclusively',
  'void-exclusive': 'the void manifest is created exclusively',
  'void-first': 'a place is voided before it is swept',
  'void-by-name': 'the void manifest is created under the fence that the ledger names, whether or not a file is seen there',
  'void-stays': 'the void manifest outlives the files',
  adopt: 'a sealed manifest of a lost attempt is adopted',
  'seal-then-end': 'after the seal nothing but the end is written: no release, no error, no cancel',
} as const
export type Protection = keyof typeof protections

export type Size = {
  /** write: one statement. window: leaves the target changed while it runs, so has a recover. dump: files and a manifest in the store. */
  task: 'write' | 'window' | 'dump'
  lock: 'exclusive' | 'shared'
  /** true: leases, heartbeats and guards by ticks of a clock. false: the reaper may strike at any moment, and a guard knows whether it did. */
  timed: boolean
  runs: number
  attempts: number
  /** SIGKILLs of a worker; its last statement may go on in the target. */
  kills: number
  /** FLUSHALLs, or jobs delivered twice. */
  redis: number
  /** Replies of the ledger that are lost. */
  replies: number
  parks: number
  /** Handlers that throw, or orderly stops of a worker. */
  mishaps: number
  /** Cancels from outside, or deadlines that pass. */
  cancels: number
  without: Protection[]
}

export const smallest: Size = {
  task: 'write',
  lock: 'exclusive',
  timed: false,
  runs: 1,
  attempts: 2,
  kills: 0,
  redis: 0,
  replies: 0,
  parks: 0,
  mishaps: 0,
  cancels: 0,
  without: [],
}

type Outcome = 'succeeded' | 'adopted' | 'parked' | 'released' | 'threw' | 'cancelled'
type Verdict = '' | 'again' | 'failed' | 'cancelled'

type Run = {
  state: 'unborn' | 'queued' | 'running' | 'parked' | 'succeeded' | 'failed' | 'cancelled'
  dispatch: number
  dispatched: boolean
  backOff: boolean
  fence: number
  attempt: number
  /** Attempts that were lost or threw: what `attempt` has to count. */
  spent: number
  /** Ticks since the ledger renewed the lease. */
  age: number
  /** Final states written. */
  ends: number
  /** What becomes of it once its recover run has ended; '' when it waits for none. */
  verdict: Verdict
  cancelRequested: boolean
  /** The target stays changed by intention: its attempt was parked. */
  kept: boolean
  /** Of a recover run: the fence whose traces it clears away. */
  clears: number
}

type Phase =
  | 'idle'
  | 'claim'
  | 'evict'
  | 'strike'
  | 'connect'
  | 'connecting'
  | 'recheck'
  | 'work'
  | 'worked'
  | 'restore'
  | 'files'
  | 'seal'
  | 'look'
  | 'void'
  | 'sweep'
  | 'close'
  | 'end'

type Worker = {
  phase: Phase
  run: number
  dispatch: number
  fence: number
  /** Ticks since the lease was confirmed; since the heartbeat on its way was sent, -1 when none is. */
  confirmed: number
  sent: number
  reply: 'none' | 'renewed' | 'superseded'
  /** The fence that the ledger gave to this delivery in a reply that was lost. */
  granted: number
  evicted: number[]
  /** The target could not be put back before a bad end. */
  failedUndo: boolean
  /** Taken from the recover run with its claim, not looked up later. */
  clears: number
  outcome: Outcome
}

/** A session in the target; its worker is -1 when that was killed while the statement ran. */
type Session = { fence: number; worker: number; run: number; statement: 'work' | 'restore' | 'none' }
type Place = { run: number; fence: number; files: boolean; manifest: 'none' | 'sealed' | 'void' }
type Faults = Pick<Size, 'kills' | 'redis' | 'replies' | 'parks' | 'mishaps' | 'cancels'>

export type State = {
  /** The runs, then the recover run of each. */
  runs: Run[]
  holders: number[]
  fence: number
  lost: number[]
  jobs: string[]
  sessions: Session[]
  /** The newest fence that touched the target, per lock that keeps others out. */
  touched: number[]
  /** Who left the target changed. */
  changed: { run: number; fence: number } | undefined
  places: Place[]
  workers: Worker[]
  left: Faults
  broken: string
}

const lease = 2
const guarded = 1 // the guard wants less than this many ticks: lease > guard is all that matters

export function runProtocol(size: Size): Model<State> {
  const has = (protection: Protection): boolean => !size.without.includes(protection)
  const exclusive = size.lock === 'exclusive'
  const recovers = size.task !== 'write'
  const withSession = size.task !== 'dump' || size.timed
  const isRecover = (run: number): boolean => run >= size.runs
  const ownerOf = (run: number): number => run % size.runs
  const initial: State = {
    runs: Array.from({ length: size.runs * (recovers ? 2 : 1) }, (_, run) => newRun(run < size.runs ? 'queued' : 'unborn')),
    holders: [],
    fence: 0,
    lost: [],
    jobs: [],
    sessions: [],
    touched: Array(size.runs).fill(0),
    changed: undefined,
    places: [],
    workers: [idle(), idle()],
    left: { kills: size.kills, redis: size.redis, replies: size.replies, parks: size.parks, mishaps: size.mishaps, cancels: size.cancels },
    broken: '',
  } // prettier-ignore

  // ---- The ledger: each function is one statement, or a part of one ----

  function requeue(n: State, run: number): void {
    const row = n.runs[run]!
    row.state = 'queued'
    row.dispatched = false
    if (has('dispatch-number')) {
      row.dispatch++
      // A job of an older dispatch does nothing but be dropped by whoever takes it.
      n.jobs = n.jobs.filter(job => !job.startsWith(`${run}-`))
    }
  }

  function free(n: State, run: number): void {
    n.holders = n.holders.filter(holder => holder !== run)
  }

  function finish(n: State, run: number, state: 'succeeded' | 'failed' | 'cancelled'): void {
    const row = n.runs[run]!
    row.state = state
    row.verdict = ''
    row.ends++
    free(n, run)
    if (row.ends > 1) n.broken ||= 'a run ended twice'
    if (state === 'failed' && row.spent < size.attempts) n.broken ||= 'a run failed with attempts left'
  }

  /** `again` is a return to the queue with back-off, anything else the end. */
  function settle(n: State, run: number, verdict: Exclude<Verdict, ''>): void {
    if (verdict !== 'again') return finish(n, run, verdict)
    free(n, run)
    requeue(n, run)
    Object.assign(n.runs[run]!, { backOff: true, verdict: '' })
  }

  /** Gives birth to the recover run of `run`, which gets its locks; the run waits for it, and its verdict with it. */
  function handOn(n: State, run: number, verdict: Exclude<Verdict, ''>): void {
    const row = n.runs[run]!
    const recover = run + size.runs
    n.runs[recover] = { ...newRun('queued'), dispatch: n.runs[recover]!.dispatch + 1, clears: row.fence }
    free(n, run)
    if (has('hand-on')) n.holders.push(recover)
    row.kept = false
    if (verdict !== 'again' ? !has('verdict-waits') : !has('behind')) return settle(n, run, verdict)
    requeue(n, run)
    row.verdict = verdict
  }

  /** A living worker gives the run back. Where the target is still changed the locks stay, as they do for a recover run. */
  function putBack(n: State, run: number): void {
    if (!(isRecover(run) || n.runs[run]!.kept) || !has('kept-locks')) free(n, run)
    requeue(n, run)
    n.runs[run]!.backOff = true
  }

  function reap(n: State, run: number): void {
    const row = n.runs[run]!
    n.lost.push(row.fence)
    row.spent++
    row.kept = false
    if (isRecover(run)) {
      if (!has('recover-locks')) free(n, run)
      requeue(n, run)
      row.backOff = true
      return
    }
    const verdict = row.cancelRequested ? 'cancelled' : row.attempt < size.attempts ? 'again' : 'failed'
    if (recovers && has('recover')) handOn(n, run, verdict)
    else settle(n, run, verdict)
  }

  function cancel(n: State, run: number): void {
    const row = n.runs[run]!
    if (row.state === 'running') row.cancelRequested = true
    else if (row.verdict !== '') row.verdict = 'cancelled'
    else if (row.kept && recovers && has('parked-recover')) handOn(n, run, 'cancelled')
    else finish(n, run, 'cancelled')
  }

  /** Returns the fence, or 0 when the delivery is stale or the lock is held after all. */
  function claim(n: State, { run, dispatch, granted }: Worker): number {
    const row = n.runs[run]!
    const repeated = has('delivery-key') ? granted !== 0 && row.fence === granted : row.dispatch === dispatch
    if (row.state === 'running' && repeated) {
      if (has('claim-renews')) row.age = 0
      return row.fence
    }
    if (row.state !== 'queued' || row.dispatch !== dispatch || row.verdict !== '') return 0
    if (exclusive && has('lock') && n.holders.some(holder => holder !== run)) {
      requeue(n, run)
      return 0
    }
    if (row.backOff) n.broken ||= 'a run was claimed before its back-off was over'
    row.state = 'running'
    row.fence = ++n.fence
    row.attempt++
    row.age = 0
    if (!n.holders.includes(run)) n.holders.push(run)
    return row.fence
  }

  const isMine = (n: State, { run, fence }: Worker): boolean => n.runs[run]!.fence === fence && n.runs[run]!.state === 'running'

  /** The last statement of an attempt: an end, a park, a release. */
  function conclude(n: State, worker: Worker): void {
    const { run, fence, outcome } = worker
    const row = n.runs[run]!
    if ((has('end-fence') && row.fence !== fence) || (has('end-state') && row.state !== 'running')) return
    if (n.sessions.some(session => session.fence === fence)) n.broken ||= 'a session outlives its attempt, and nobody will evict it'
    if (isRecover(run)) {
      if (outcome === 'threw' || outcome === 'released') return putBack(n, run)
      finish(n, run, 'succeeded')
      const owner = n.runs[ownerOf(run)]!
      if (outcome === 'adopted') finish(n, ownerOf(run), 'succeeded')
      else if (owner.verdict !== '') settle(n, ownerOf(run), owner.verdict)
      return
    }
    if (worker.failedUndo && has('failed-undo')) {
      if (outcome === 'threw') row.spent++
      else row.attempt--
      return handOn(n, run, outcome === 'cancelled' ? 'cancelled' : row.attempt < size.attempts ? 'again' : 'failed')
    }
    if (outcome === 'parked') {
      row.state = 'parked'
      row.kept = size.task === 'window'
      if (has('park-attempt')) row.attempt--
      if (!has('park-locks')) free(n, run)
    } else if (outcome === 'released') {
      row.attempt--
      putBack(n, run)
    } else if (outcome === 'threw') {
      row.spent++
      settle(n, run, row.attempt < size.attempts ? 'again' : 'failed')
    } else finish(n, run, outcome === 'adopted' ? 'succeeded' : outcome)
  }

  // ---- The target and the store ----

  /** One statement in the target. */
  function touch(n: State, run: number, fence: number, statement: 'work' | 'restore'): void {
    const owner = ownerOf(run)
    const scope = exclusive ? 0 : owner
    if (fence < n.touched[scope]!) n.broken ||= 'an older fence wrote after a newer one'
    n.touched[scope] = Math.max(n.touched[scope]!, fence)
    if (exclusive && n.runs.some((other, at) => other.state === 'parked' && at !== owner))
      n.broken ||= "somebody worked under a parked run's lock"
    if (size.task !== 'window') return
    if (statement === 'restore') n.changed = undefined
    else {
      const row = n.runs[run]!
      const living = row.fence === fence && row.state === 'running'
      const intended = n.changed?.run === run && row.kept
      if (living && n.changed !== undefined && !intended) n.broken ||= 'an attempt began before what a lost one left was recovered'
      n.changed = { run, fence }
      if (living) row.kept = false
    }
  }

  const placeOf = (n: State, run: number, fence: number): Place | undefined =>
    n.places.find(place => place.run === run && place.fence === fence)

  function placeFor(n: State, run: number, fence: number): Place {
    const found = placeOf(n, run, fence)
    if (found !== undefined) return found
    const made: Place = { run, fence, files: false, manifest: 'none' }
    n.places.push(made)
    return made
  }

  // ---- A worker ----

  function drop(n: State, k: number): void {
    n.workers[k] = idle()
    n.sessions = n.sessions.filter(session => session.worker !== k)
  }

  /** What follows the claim's clearing of the table. */
  function begin(n: State, k: number): void {
    const worker = n.workers[k]!
    worker.evicted = []
    const adoptable =
      has('adopt') && size.task === 'dump' && n.places.some(place => place.run === worker.run && place.manifest === 'sealed')
    if (adoptable && !isRecover(worker.run)) Object.assign(worker, { phase: 'end', outcome: 'adopted' })
    else if (size.task === 'dump' && isRecover(worker.run)) worker.phase = 'look'
    else worker.phase = withSession ? 'connect' : 'files'
  }

  function claimed(n: State, k: number, fence: number): void {
    if (fence === 0) return drop(n, k)
    const worker = n.workers[k]!
    if (n.workers.some((other, at) => at !== k && other.fence === fence)) n.broken ||= 'one fence in two hands'
    Object.assign(worker, { fence, confirmed: 0, granted: 0, phase: 'evict', clears: n.runs[worker.run]!.clears })
    if (!withSession) begin(n, k)
  }

  /** The way to a bad end that a living process takes: put things back, close, write the end. */
  function undo(n: State, k: number, outcome: Outcome): void {
    const worker = n.workers[k]!
    worker.outcome = outcome
    if (!has('undo') || size.task === 'write') worker.phase = 'close'
    else worker.phase = size.task === 'window' ? 'restore' : 'void'
  }

  /** The place that this worker voids and sweeps: its own in a bad end, that of the lost fence in a recover run. */
  const swept = ({ run, fence, clears }: Worker): { run: number; fence: number } => ({
    run: ownerOf(run),
    fence: isRecover(run) ? clears : fence,
  })

  function workerSteps(s: State, k: number, add: (label: string, step: (n: State) => void) => void): void {
    const worker = s.workers[k]!
    const { phase, run, fence } = worker
    const name = `worker ${k}`
    const to = (next: Phase) => (n: State) => void (n.workers[k]!.phase = next)
    const guard = size.timed ? worker.confirmed < guarded : fence !== 0 && isMine(s, worker)

    if (phase === 'idle') {
      for (const job of s.jobs) {
        const [target, dispatch] = job.split('-').map(Number)
        add(`${name} takes job ${job}`, n => {
          Object.assign(n.workers[k]!, { phase: 'claim', run: target, dispatch })
          n.jobs = n.jobs.filter(other => other !== job)
        })
        if (s.left.redis > 0)
          add(`fault: ${name} takes job ${job}, which Redis gives to another too`, n => {
            Object.assign(n.workers[k]!, { phase: 'claim', run: target, dispatch })
            n.left.redis--
          })
      }
      return
    }

    if (s.left.kills > 0) {
      add(`fault: ${name} is killed`, n => {
        drop(n, k)
        n.left.kills--
      })
      if ((phase === 'work' || phase === 'restore') && s.sessions.some(session => session.worker === k))
        add(`fault: ${name} is killed, its statement goes on`, n => {
          for (const session of n.sessions) if (session.worker === k) Object.assign(session, { worker: -1, statement: phase })
          drop(n, k)
          n.left.kills--
        })
    }
    // The ledger handles a heartbeat that was sent whether its sender sleeps or not.
    if (worker.sent >= 0 && worker.reply === 'none')
      add(`the heartbeat of ${name} reaches the ledger`, n => {
        const row = n.runs[run]!
        const renewed = row.fence === fence && (row.state === 'running' || !has('heartbeat-state'))
        if (renewed) row.age = 0
        n.workers[k]!.reply = renewed ? 'renewed' : 'superseded'
      })
    if (size.timed && fence !== 0 && worker.sent < 0 && phase !== 'end')
      add(`${name} sends a heartbeat`, n => void (n.workers[k]!.sent = 0))
    if (worker.reply === 'renewed')
      add(`${name} gets the reply`, n =>
        Object.assign(n.workers[k]!, { confirmed: has('sent-clock') ? worker.sent : 0, sent: -1, reply: 'none' }),
      )
    const superseded = size.timed ? worker.reply === 'superseded' : fence !== 0 && phase !== 'end' && !isMine(s, worker)
    if (superseded) add(`${name} learns that fence ${fence} is superseded`, n => drop(n, k))

    const unsealed =
      phase === 'work' || phase === 'worked' || phase === 'files' || phase === 'seal' || (phase === 'close' && !has('seal-then-end'))
    if (unsealed && !isRecover(run) && worker.outcome === 'succeeded') {
      if (s.left.mishaps > 0)
        for (const outcome of ['threw', 'released'] as const)
          add(`fault: the handler of ${name} ${outcome === 'threw' ? 'throws' : 'is stopped in order'}`, n => {
            if (phase === 'close') n.workers[k]!.outcome = outcome
            else undo(n, k, outcome)
            n.left.mishaps--
          })
      if (phase !== 'close' && s.runs[run]!.cancelRequested && isMine(s, worker))
        add(`${name} learns that the run is cancelled`, n => undo(n, k, 'cancelled'))
    }

    const begins = phase === 'connect' && (isRecover(run) || worker.outcome === 'succeeded')
    if (begins && s.left.mishaps > 0)
      add(`fault: ${name} cannot begin, and gives the run back`, n => {
        Object.assign(n.workers[k]!, { phase: 'end', outcome: 'released' })
        n.left.mishaps--
      })
    const putsBack = phase === 'restore' || phase === 'void'
    if (putsBack && s.left.mishaps > 0 && (isRecover(run) || worker.outcome !== 'succeeded'))
      add(`fault: ${name} fails to put things back`, n => {
        Object.assign(n.workers[k]!, isRecover(run) ? { phase: 'close', outcome: 'threw' } : { phase: 'close', failedUndo: true })
        n.left.mishaps--
      })

    switch (phase) {
      case 'claim':
        add(`${name} claims run ${run}`, n => claimed(n, k, claim(n, n.workers[k]!)))
        if (s.left.replies > 0)
          add(`fault: ${name} claims run ${run}, the reply is lost`, n => {
            const granted = claim(n, n.workers[k]!)
            if (granted === 0) drop(n, k)
            else n.workers[k]!.granted = granted
            n.left.replies--
          })
        break
      case 'evict':
        add(`${name} terminates the sessions of lost fences`, n => {
          const listed = [...n.lost]
          if (has('evict')) n.sessions = n.sessions.filter(session => !listed.includes(session.fence))
          if (listed.length === 0 && has('strike-seen')) return begin(n, k)
          Object.assign(n.workers[k]!, { phase: 'strike', evicted: listed })
        })
        break
      case 'strike':
        add(`${name} strikes them off`, n => {
          n.lost = has('strike-seen') ? n.lost.filter(other => !worker.evicted.includes(other)) : []
          begin(n, k)
        })
        break
      case 'connect':
        if (guard) add(`${name} is guarded and connects`, to('connecting'))
        break
      case 'connecting':
        add(`${name} is connected`, n => {
          n.sessions.push({ fence, worker: k, run, statement: 'none' })
          n.workers[k]!.phase = has('recheck') ? 'recheck' : isRecover(run) ? 'restore' : 'work'
        })
        break
      case 'recheck':
        if (guard) add(`${name} looks at its lease again`, to(isRecover(run) ? 'restore' : 'work'))
        break
      case 'work':
      case 'restore':
        add(`${name} ${phase === 'work' ? 'works' : 'puts the target back'} under fence ${fence}`, n => {
          if (!n.sessions.some(session => session.worker === k)) return drop(n, k) // terminated: the attempt is over
          touch(n, run, fence, phase)
          n.workers[k]!.phase =
            phase === 'restore' || (size.task === 'write' && s.left.parks === 0) ? 'close' : size.task === 'dump' ? 'files' : 'worked'
        })
        break
      case 'worked':
        add(`${name} goes on`, to(size.task === 'window' ? 'restore' : 'close'))
        if (s.left.parks > 0)
          add(`fault: the handler of ${name} parks`, n => {
            Object.assign(n.workers[k]!, { phase: 'close', outcome: 'parked' })
            n.left.parks--
          })
        break
      case 'files':
        add(`${name} writes its files into place ${fence}`, n => {
          placeFor(n, run, fence).files = true
          n.workers[k]!.phase = 'seal'
        })
        break
      case 'seal':
        add(`${name} seals place ${fence}`, n => {
          const place = placeFor(n, run, fence)
          if (has('seal-exclusive') && place.manifest !== 'none') {
            if (isMine(n, worker)) n.broken ||= 'the place of a living attempt was voided'
            return drop(n, k)
          }
          place.manifest = 'sealed'
          n.workers[k]!.phase = 'close'
        })
        break
      case 'look': {
        const { run: owner, fence: cleared } = swept(worker)
        const place = placeOf(s, owner, cleared)
        add(`${name} looks at place ${cleared}`, n => {
          if (place?.manifest === 'sealed' && has('adopt')) Object.assign(n.workers[k]!, { phase: 'close', outcome: 'adopted' })
          else if (place?.manifest === 'sealed' || (place === undefined && !has('void-by-name'))) n.workers[k]!.phase = 'close'
          else n.workers[k]!.phase = has('void-first') ? 'void' : 'sweep'
        })
        break
      }
      case 'void': {
        const { run: owner, fence: cleared } = swept(worker)
        add(`${name} voids place ${cleared}`, n => {
          const place = placeFor(n, owner, cleared)
          if (place.manifest === 'sealed' && has('void-exclusive')) {
            // The sleeper was faster.
            n.workers[k]!.phase = 'close'
            if (has('adopt')) n.workers[k]!.outcome = 'adopted'
            return
          }
          if (place.manifest === 'sealed') n.broken ||= 'a sealed artifact was swept'
          place.manifest = 'void'
          n.workers[k]!.phase = 'sweep'
        })
        break
      }
      case 'sweep': {
        const { run: owner, fence: cleared } = swept(worker)
        add(`${name} sweeps place ${cleared}`, n => {
          const place = placeFor(n, owner, cleared)
          if (place.manifest === 'sealed') n.broken ||= 'a sealed artifact was swept'
          place.files = false
          if (!has('void-stays')) place.manifest = 'none'
          n.workers[k]!.phase = 'close'
        })
        break
      }
      case 'close':
        add(`${name} closes its session`, n => {
          if (has('close-first')) n.sessions = n.sessions.filter(session => session.worker !== k)
          n.workers[k]!.phase = 'end'
        })
        break
      case 'end':
        add(`${name} writes ${worker.outcome} under fence ${fence}`, n => {
          conclude(n, worker)
          if (has('close-first')) drop(n, k)
          else n.workers[k] = { ...idle(), phase: 'close', run, fence } // what is left of a process that froze before it closed
        })
        if (s.left.replies > 0)
          add(`fault: ${name} writes ${worker.outcome} under fence ${fence}, the reply is lost`, n => {
            conclude(n, worker)
            n.left.replies--
          })
        break
    }
  }

  // ---- The scheduler and the world ----

  function next(s: State): [string, State][] {
    const ways: [string, State][] = []
    const add = (label: string, step: (n: State) => void): void => {
      const n = copy(s)
      step(n)
      if (!size.timed) n.workers.forEach(worker => void (worker.confirmed = 0))
      ways.push([label, n])
    }
    if (size.timed && (s.workers.some(worker => worker.fence !== 0 || worker.granted !== 0) || s.runs.some(row => row.state === 'running')))
      add('a tick', tick)
    s.runs.forEach((row, run) => {
      const job = `${run}-${row.dispatch}`
      const dispatchable = row.state === 'queued' && !row.backOff && row.verdict === ''
      if (dispatchable && !row.dispatched && (!exclusive || s.holders.every(holder => holder === run)))
        add(`run ${run} is dispatched as ${job}`, n => {
          n.runs[run]!.dispatched = true
          if (!n.jobs.includes(job)) n.jobs.push(job)
        })
      if (dispatchable && row.dispatched && !s.jobs.includes(job)) add(`job ${job} is added again`, n => void n.jobs.push(job))
      if (row.state === 'running' && (!size.timed || row.age >= lease)) add(`the reaper takes run ${run} away`, n => reap(n, run))
      if (row.backOff) add(`the back-off of run ${run} is over`, n => void (n.runs[run]!.backOff = false))
      if (row.state === 'parked') add(`run ${run} is unparked`, n => requeue(n, run))
      if (
        s.left.cancels > 0 &&
        (!isRecover(run) || !has('recover-endless')) &&
        !isFinal(row) &&
        row.state !== 'unborn' &&
        !row.cancelRequested &&
        row.verdict !== 'cancelled'
      )
        add(`fault: run ${run} is cancelled, or its deadline passes`, n => {
          cancel(n, run)
          n.left.cancels--
        })
    })
    if (s.left.redis > 0 && s.jobs.length > 0)
      add('fault: FLUSHALL', n => {
        n.jobs = []
        n.left.redis--
      })
    s.sessions.forEach(({ worker, fence, run, statement }, at) => {
      if (worker !== -1) return
      add(`what fence ${fence} left running in the target takes effect`, n => {
        n.sessions.splice(at, 1)
        if (statement !== 'none') touch(n, run, fence, statement)
      })
    })
    s.workers.forEach((_, k) => workerSteps(s, k, add))
    return ways
  }

  function tick(n: State): void {
    for (const row of n.runs) if (row.state === 'running') row.age = Math.min(lease, row.age + 1)
    for (const worker of n.workers) {
      if (worker.fence !== 0) worker.confirmed = Math.min(lease, worker.confirmed + 1)
      if (worker.sent >= 0) worker.sent = Math.min(lease, worker.sent + 1)
    }
  }

  function violation(s: State): string | undefined {
    if (s.broken !== '') return s.broken
    for (const [run, row] of s.runs.entries()) {
      const holds = s.holders.includes(run)
      if (isFinal(row) && holds) return 'a final run holds a lock'
      if (exclusive && row.state === 'running' && s.holders.some(holder => holder !== run)) return 'two holders of one exclusive lock'
    }
    if (s.changed !== undefined) {
      const { run } = s.changed
      const responsible = [s.runs[run]!, s.runs[run + size.runs]!].some(row => !isFinal(row) && row.state !== 'unborn')
      if (!responsible) return 'the target stays changed and nobody is left to put it back'
    }
    for (const place of s.places) {
      if (place.manifest !== 'sealed') continue
      if (!place.files) return 'a listed manifest without its files'
      const row = s.runs[place.run]!
      if (row.state === 'failed' || row.state === 'cancelled') return 'a backup is listed whose run did not succeed'
      if (s.places.some(other => other !== place && other.run === place.run && other.manifest === 'sealed'))
        return 'two listed manifests of one run'
    }
    if (size.task === 'dump')
      for (const [run, row] of s.runs.entries())
        if (!isRecover(run) && row.state === 'succeeded' && !s.places.some(place => place.run === run && place.manifest === 'sealed'))
          return 'a dump succeeded without a listed manifest'
    return undefined
  }

  return {
    initial,
    next,
    violation,
    key: s => keyOf(s, size),
    done: s => s.runs.every(row => isFinal(row) || row.state === 'unborn'),
    isFault: label => label.startsWith('fault'),
  }
}

const isFinal = (row: Run): boolean => row.state === 'succeeded' || row.state === 'failed' || row.state === 'cancelled'

function newRun(state: Run['state']): Run {
  return {
    state,
    dispatch: 0,
    dispatched: false,
    backOff: false,
    fence: 0,
    attempt: 0,
    spent: 0,
    age: 0,
    ends: 0,
    verdict: '',
    cancelRequested: false,
    kept: false,
    clears: 0,
  }
}

function idle(): Worker {
  return {
    phase: 'idle',
    run: -1,
    dispatch: 0,
    fence: 0,
    confirmed: 0,
    sent: -1,
    reply: 'none',
    granted: 0,
    evicted: [],
    clears: 0,
    failedUndo: false,
    outcome: 'succeeded',
  }
}

function copy(s: State): State {
  return {
    ...s,
    runs: s.runs.map(row => ({ ...row })),
    holders: [...s.holders],
    lost: [...s.lost],
    jobs: [...s.jobs],
    sessions: s.sessions.map(session => ({ ...session })),
    touched: [...s.touched],
    places: s.places.map(place => ({ ...place })),
    workers: s.workers.map(worker => ({ ...worker })),
    left: { ...s.left },
  }
}

/**
 * Fences are renamed by their order, dispatch numbers to "current or stale", the two workers are alike, and what can have no effect any more
 * is left out: so the space is finite although a sleeping worker may be reaped any number of times.
 */
function keyOf(s: State, size: Size): string {
  const held = new Set([...s.workers.flatMap(worker => [worker.fence, worker.granted]), ...s.sessions.map(session => session.fence)])
  const lost = s.lost.filter(fence => held.has(fence))
  const places = s.places.filter(
    place =>
      place.manifest !== 'void' ||
      place.files ||
      held.has(place.fence) ||
      s.runs.some(row => row.clears === place.fence) ||
      s.workers.some(worker => worker.clears === place.fence),
  )
  const oldest = Math.min(...[...held].filter(fence => fence !== 0))
  const touched = s.touched.map(fence => (fence > oldest ? fence : 0))
  const used = [
    ...new Set([
      ...held,
      ...s.runs.flatMap(row => [row.fence, row.clears]),
      ...s.workers.map(worker => worker.clears),
      ...lost,
      ...touched,
      ...places.map(place => place.fence),
      s.changed?.fence ?? 0,
    ]),
  ].sort((a, b) => a - b)
  const rank = used[0] === 0 ? (fence: number) => used.indexOf(fence) : (fence: number) => used.indexOf(fence) + 1
  const bit = (value: boolean): number => (value ? 1 : 0)
  const runs = s.runs.map(row =>
    isFinal(row)
      ? `${row.state[0]}${rank(row.fence)}${row.ends}`
      : `${row.state}${bit(row.dispatched)}${bit(row.backOff)}${rank(row.fence)}${Math.min(row.attempt, size.attempts)}${Math.min(row.spent, size.attempts)}${row.age}${row.verdict}${bit(row.cancelRequested)}${bit(row.kept)}${rank(row.clears)}`,
  )
  const workers = s.workers.map((worker, k) => {
    if (worker.phase === 'idle') return ''
    const sessions = s.sessions.filter(session => session.worker === k).map(session => rank(session.fence))
    const stale = bit(worker.phase === 'claim' && s.runs[worker.run]!.dispatch !== worker.dispatch)
    return `${worker.phase}${worker.run}${stale}${rank(worker.fence)}${worker.confirmed}${worker.sent}${worker.reply[0]}${rank(worker.granted)}.${rank(worker.clears)}.${worker.evicted
      .filter(gone => held.has(gone))
      .map(rank)
      .join('')}${worker.outcome}${bit(worker.failedUndo)}:${sessions.join('')}`
  })
  const ghosts = s.sessions
    .filter(session => session.worker === -1)
    .map(session => `${rank(session.fence)}${session.run}${session.statement}`)
  const jobs = sorted(s.jobs.map(job => Number(job.split('-')[0])))
  return [
    runs.join(),
    sorted(s.holders).join(),
    sorted(lost.map(rank)).join(),
    jobs.join(),
    touched.map(rank).join(),
    s.changed === undefined ? '' : `${s.changed.run}.${rank(s.changed.fence)}`,
    places
      .map(place => `${place.run}.${rank(place.fence)}${bit(place.files)}${place.manifest}`)
      .sort()
      .join(),
    ghosts.sort().join(),
    workers.sort().join('/'),
    Object.values(s.left).join(''),
    s.broken,
  ].join('|')
}

const sorted = (numbers: number[]): number[] => [...numbers].sort((a, b) => a - b)
