// The protocols hold as designed, and every protection of theirs is found out when it is left out. Larger sizes: src/model/main.ts.
import { describe, expect, test } from 'vitest'
import * as approval from '../src/model/approval.ts'
import { explore, type Model, wander } from '../src/model/explore.ts'
import * as publisher from '../src/model/publisher.ts'
import * as run from '../src/model/run-protocol.ts'

const oneWindow = { task: 'window', attempts: 1 } as const
const oneDump = { task: 'dump', attempts: 1 } as const
const twoRuns = { runs: 2, attempts: 1 } as const
const olderFence = 'an older fence wrote after a newer one'
const unrecovered = 'an attempt began before what a lost one left was recovered'
const abandoned = 'the target stays changed and nobody is left to put it back'
const unsuccessful = 'a backup is listed whose run did not succeed'
const sweptSealed = 'a sealed artifact was swept'

describe('the run protocol is clean', () => {
  test.each<[string, Partial<run.Size>]>([
    ['under leases and heartbeats, with a kill', { timed: true, kills: 1 }],
    ['under leases and heartbeats, with a lost reply', { timed: true, replies: 1, attempts: 1 }],
    ['when Redis loses or doubles a job and the ledger loses a reply', { redis: 1, replies: 1, kills: 1 }],
    ['for two runs of one exclusive lock, with a kill', { ...twoRuns, kills: 1 }],
    ['for two runs of one shared lock', { ...twoRuns, lock: 'shared', kills: 1 }],
    ['for two runs of one exclusive lock, one of which parks', { ...twoRuns, parks: 1 }],
    ['for a window that parks and is cancelled', { ...oneWindow, parks: 1, cancels: 1 }],
    ['for a window that is killed', { ...oneWindow, kills: 1 }],
    ['for two windows of one exclusive lock', { ...oneWindow, runs: 2 }],
    ['for a window whose handler throws and whose recovery fails', { ...oneWindow, mishaps: 2 }],
    ['for a dump that is killed, also between manifest and end', { task: 'dump', kills: 1 }],
    ['for a dump in its last attempt, that throws or is stopped, and cancelled', { ...oneDump, mishaps: 1, cancels: 1, kills: 1 }],
    ['for a dump under a shared lock whose replies are lost', { task: 'dump', lock: 'shared', replies: 1 }],
  ])('%s', (_, size) => {
    expect(explore(run.runProtocol({ ...run.smallest, ...size }))).toMatchObject({ verdict: 'clean' })
  })
})

describe('the approval', () => {
  test('is clean, also when the target changes twice', () => {
    expect(explore(approval.approval({ changes: 2, without: [] }))).toMatchObject({ verdict: 'clean' })
  })

  test.each<[approval.Protection, string]>([
    ['other-actor', 'the asker approved it alone'],
    ['plan-first', 'something was done that nobody had approved'],
    ['state-again', 'a run that had ended was queued again'],
    ['offer-once', 'its approvers were told twice'],
    ['plan-again', 'something was done that nobody had approved'],
    ['row-first', 'a run that has ended still wants its locks'],
    ['locks-late', 'a run that nobody has approved stands before others in the line for a lock'],
  ])('is found out without %s', (protection, broken) => {
    const without: approval.Protection[] = protection === 'plan-first' ? [protection, 'plan-again'] : [protection]
    expect(explore(approval.approval({ ...approval.smallest, without }))).toMatchObject({ verdict: 'violation', broken })
  })

  test('has a case for each protection', () => {
    expect(Object.keys(approval.protections)).toHaveLength(7)
  })
})

const runProtections: Record<run.Protection, [size: Partial<run.Size>, broken: string]> = {
  'dispatch-number': [{ redis: 1 }, 'a run was claimed before its back-off was over'],
  'delivery-key': [{}, 'one fence in two hands'],
  'claim-renews': [{ timed: true, replies: 1 }, olderFence],
  lock: [twoRuns, 'two holders of one exclusive lock'],
  evict: [twoRuns, olderFence],
  'strike-seen': [{ attempts: 3 }, olderFence],
  recheck: [twoRuns, olderFence],
  'sent-clock': [{ timed: true }, olderFence],
  'heartbeat-state': [{ timed: true }, olderFence],
  'end-fence': [{ runs: 2 }, olderFence],
  'end-state': [{}, 'a run ended twice'],
  'close-first': [{}, 'a session outlives its attempt, and nobody will evict it'],
  'park-locks': [{ ...twoRuns, parks: 1 }, "somebody worked under a parked run's lock"],
  'park-attempt': [{ parks: 1 }, 'a run failed with attempts left'],
  'parked-recover': [{ ...oneWindow, parks: 1, cancels: 1 }, abandoned],
  recover: [oneWindow, abandoned],
  'hand-on': [{ ...oneWindow, runs: 2 }, unrecovered],
  'recover-locks': [{ ...oneWindow, runs: 2 }, unrecovered],
  'recover-endless': [{ ...oneWindow, cancels: 1 }, 'stuck: from here nothing leads to the end without help'],
  'kept-locks': [{ ...oneWindow, runs: 2, mishaps: 1 }, unrecovered],
  'failed-undo': [{ ...oneWindow, mishaps: 2 }, abandoned],
  undo: [{ ...oneWindow, mishaps: 1 }, abandoned],
  behind: [{ task: 'dump', lock: 'shared' }, 'two listed manifests of one run'],
  'verdict-waits': [oneDump, unsuccessful],
  'seal-exclusive': [oneDump, sweptSealed],
  'void-exclusive': [oneDump, sweptSealed],
  'void-first': [oneDump, sweptSealed],
  'void-by-name': [oneDump, unsuccessful],
  'void-stays': [oneDump, 'a listed manifest without its files'],
  adopt: [oneDump, unsuccessful],
  'seal-then-end': [{ ...oneDump, mishaps: 1, cancels: 1 }, unsuccessful],
}

describe('the run protocol is found out', () => {
  test.each(entries(runProtections))('without %s', (protection, [size, broken]) => {
    expect(explore(run.runProtocol({ ...run.smallest, ...size, without: [protection] }))).toMatchObject({ verdict: 'violation', broken })
  })
})

describe('the publisher loses no event', () => {
  test.each<[string, Partial<publisher.Size>]>([
    ['when Redis is emptied', { rows: 2, flushes: 1, spare: 0 }],
    ['when Redis falls back to an older replica', { rows: 2, failovers: 1, spare: 0 }],
    ['when the ledger is restored', { rows: 2, restores: 1, spare: 0 }],
    ['when a publisher dies', { rows: 2, crashes: 1 }],
  ])('%s', (_, size) => {
    expect(explore(publisher.publisher({ ...publisher.smallest, ...size }))).toMatchObject({ verdict: 'clean' })
  })
})

describe('the publisher loses an event', () => {
  test.each<[publisher.Protection[], Partial<publisher.Size>]>([
    [['unique-token'], { restores: 1 }],
    [['script-mark'], { flushes: 1 }],
    [['commit-token'], { flushes: 1 }],
    [['unmark-first'], { flushes: 1, crashes: 1 }],
    [['copy-mark'], { flushes: 1 }],
    [['write-ahead', 'unique-token'], { failovers: 1 }],
  ])('without %s', (without, size) => {
    expect(explore(publisher.publisher({ ...publisher.smallest, rows: 2, spare: 0, ...size, without }))).toMatchObject({
      broken: 'an event is lost',
    })
  })
})

describe('the explorer', () => {
  test('gives the shortest trace to a violation', () => {
    expect(explore(counter({ broken: 5 })).trace).toEqual(['add 1', 'add 2', 'add 2'])
  })

  test('reports a state from which nothing leads to the end', () => {
    expect(explore(counter({ trap: 3 }))).toMatchObject({ broken: 'stuck: from here nothing leads to the end without help', depth: 2 })
  })

  test('gives up at its cap, and says so', () => {
    expect(explore(counter({}), { cap: 3 })).toMatchObject({ verdict: 'too large' })
  })

  test('walks the same way from the same seed', () => {
    const walk = () => wander(counter({ broken: 7 }), { seed: 3, walks: 50 }).trace
    expect(walk()).toEqual(walk())
  })
})

/** Adds 1 or 2 until it is at 8. */
function counter({ broken, trap }: { broken?: number; trap?: number }): Model<number> {
  return {
    initial: 0,
    next: at =>
      at >= 8 || at === trap
        ? []
        : [
            ['add 1', at + 1],
            ['add 2', at + 2],
          ],
    key: String,
    violation: at => (at === broken ? 'too far' : undefined),
    done: at => at >= 8,
    isFault: () => false,
  }
}

function entries<Name extends string, Value>(record: Record<Name, Value>): [Name, Value][] {
  return Object.entries(record) as [Name, Value][]
}
