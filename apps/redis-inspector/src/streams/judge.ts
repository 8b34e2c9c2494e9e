// What of a stream a person should know: entries that were lost or will be, readers that are gone, entries that nobody can take, and what was there and is not.
import { formatDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import { z } from 'zod'
import { isBefore } from '../ingest/stream-id.ts'
import type { GroupFacts, StreamFacts } from './read.ts'

/** Entries that were delivered so often and are not acknowledged are taken by nobody. */
const poison = 10
/** ms for which an entry may wait for its acknowledgement. */
const patience = 600_000
/** Of what a stream keeps may be unread, before it is said: the other half is the time to mend it. */
const headRoom = 0.5
/** Fewer unread entries are no backlog, however short the stream. */
const few = 50

/** What was there and is not: a stream with all that was in it, or a group. */
export const goneFacts = z.strictObject({ stream: z.string(), group: z.string().nullable(), since: z.iso.datetime() })
export type Gone = z.output<typeof goneFacts>
/** Afterwards it is taken for something that is not wanted any more. */
const remembered = 7 * 86_400_000

export interface Before {
  at: Date
  streams: StreamFacts[]
  gone: Gone[]
}

/** What of the last look is not there now, and what was missed then and has not come back. */
export function missed(now: Date, streams: StreamFacts[], before: Before | undefined): Gone[] {
  if (!before) return []
  const there = (stream: string, group: string | null) =>
    streams.some(one => one.stream === stream && (group === null || one.groups.some(each => each.group === group)))
  const since = now.toISOString()
  const known = [
    ...before.gone,
    ...before.streams.flatMap(({ stream, groups }) => [
      { stream, group: null, since },
      ...groups.map(({ group }) => ({ stream, group, since })),
    ]),
  ]
  const gone = known.filter(one => !there(one.stream, one.group) && now.getTime() - Date.parse(one.since) < remembered)
  // With a stream its groups are gone too: said once.
  return gone.filter(one => one.group === null || !gone.some(other => other.stream === one.stream && other.group === null))
}

/** `before`: the last look, for the pace at which entries come and for what was next to be read then. */
export function judge(now: Date, streams: StreamFacts[], gone: readonly Gone[], before: Before | undefined): Fault[] {
  return [
    ...gone.map(one => (one.group === null ? goneStream(one.stream) : goneGroup(one.stream, one.group))),
    ...streams.flatMap(stream => {
      const then = before?.streams.find(one => one.stream === stream.stream)
      const perSecond = pace(stream, then, before && now.getTime() - before.at.getTime())
      return stream.groups.flatMap(group =>
        ofGroup(
          stream,
          group,
          then?.groups.find(one => one.group === group.group),
          perSecond,
        ),
      )
    }),
  ]
}

const goneStream = (stream: string): Fault => ({
  key: `stream ${stream}`,
  level: 'error',
  what: `the stream ${stream} was there and is gone, with its groups and what nobody had read`,
  hint: 'was it evicted (maxmemory-policy), deleted or renamed? Its writer makes it again, its groups are made by their readers; what is lost is to be published again by its source',
})
const goneGroup = (stream: string, group: string): Fault => ({
  key: `group ${stream} ${group}`,
  level: 'error',
  what: `the group ${group} of ${stream} was there and is gone: nobody keeps what it has read`,
  hint: 'was the stream made anew, or the group destroyed? Its reader makes it again; from where, decides what is read twice or never',
})

/** Entries that come in a second; undefined where it cannot be known yet. */
function pace({ added }: StreamFacts, then: StreamFacts | undefined, ms: number | undefined): number | undefined {
  if (added === null || then?.added == null || !ms || added < then.added) return undefined
  return ((added - then.added) / ms) * 1_000
}

function ofGroup(stream: StreamFacts, group: GroupFacts, then: GroupFacts | undefined, perSecond: number | undefined): Fault[] {
  const faults: Fault[] = []
  const name = `${stream.stream} ${group.group}`
  const who = `the group ${group.group} of ${stream.stream}`
  const find = (
    kind: string,
    level: Fault['level'],
    what: string,
    hint: string,
    evidence: Record<string, unknown>,
    tells?: Fault['tells'],
  ) =>
    faults.push({
      key: `${kind} ${name}`,
      level,
      what,
      hint,
      evidence: { stream: stream.stream, ...evidence },
      ...(tells ? { tells } : {}),
    })
  // Where Redis does not count: what was next and is not there any more was lost, and perhaps more with it.
  const sawLoss =
    group.lost === null && then?.next && then.delivered === group.delivered && (!stream.first || isBefore(then.next, stream.first))
  if (group.lost || sawLoss)
    find(
      'lost',
      'error',
      `${group.lost ?? 'some'} entries of ${stream.stream} were trimmed before ${group.group} had read them`,
      'is its reader running? A longer MAXLEN of the writer gives it more time; what is lost is to be published again by its source',
      { lost: group.lost, delivered: group.delivered, oldest: stream.first },
      { opened: 'redis_stream_data_loss', gone: 'finding_gone' },
    )
  const isTrimmed = stream.added !== null && stream.added > stream.length
  if (isTrimmed && !group.lost && group.unread >= few && group.unread > stream.length * headRoom) {
    const left = perSecond ? (stream.length - group.unread) / perSecond : undefined
    find(
      'unread',
      'warning',
      `${who} has ${group.more ? 'more than ' : ''}${group.unread} of ${stream.length} entries to read${left === undefined ? '' : `; at ${perSecond!.toFixed(1)} a second the first of them is trimmed in ${formatDuration(Math.max(0, left) * 1_000)}`}`,
      'is its reader running, and quick enough? A longer MAXLEN of the writer gives it more time',
      { unread: group.unread, length: stream.length, perSecond: perSecond ?? null },
    )
  }
  if (group.deliveries >= poison)
    find(
      'poison',
      'warning',
      `an entry that ${who} has not acknowledged was delivered ${group.deliveries} times`,
      `which, and to whom: XPENDING ${stream.stream} ${group.group} - + 100; its reader fails on it, and should set it aside`,
      { deliveries: group.deliveries },
    )
  else if (group.pendingForMs !== null && group.pendingForMs > patience)
    find(
      'pending',
      'warning',
      `${who} has ${group.pending} entries that were delivered and not acknowledged, one for ${formatDuration(group.pendingForMs)}`,
      'a reader that has died leaves them; another of its group takes them over by XAUTOCLAIM',
      { pending: group.pending, forMs: group.pendingForMs },
    )
  for (const { consumer, pending, idleMs } of group.idle)
    find(
      `consumer ${consumer}`,
      'warning',
      `${consumer} of ${who} has ${pending} entries and has not asked for ${formatDuration(idleMs)}`,
      `where it is gone for good: let others claim what it has, then XGROUP DELCONSUMER ${stream.stream} ${group.group} ${consumer}`,
      { consumer, pending, idleMs },
    )
  return faults
}
