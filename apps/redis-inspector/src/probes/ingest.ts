// redis.ingest: whether the platform's streams that are read are there, how far behind their readers are, and what of them is no event.
import { rejectedWithin } from '@dbops/ledger/ingest'
import { z } from 'zod'
import { groupsOf, streamInfo } from '../ingest/group.ts'
import { isBefore } from '../ingest/stream-id.ts'
import { defineProbe } from '../task.ts'

const hour = 3_600_000
const count = z.int().min(0)

export default defineProbe({
  name: 'redis.ingest',
  summary: 'The platform’s streams that are ingested: length, group, how far behind, what was set aside within the last hour',
  every: '30s',
  result: z.strictObject({
    streams: z.array(
      z.strictObject({
        ingest: z.string(),
        stream: z.string(),
        group: z.string(),
        /** Null: there is no such stream. */
        length: count.nullable(),
        /** Delivered and not acknowledged. Null: no stream, or no group in it yet. */
        pending: count.nullable(),
        /** The last entry that was delivered to a reader of ours. */
        delivered: z.string().nullable(),
        /** Between the newest entry and the last that was delivered; 0 when all are. */
        lagSeconds: z.number().min(0).nullable(),
        setAside: z.record(z.string(), count),
      }),
    ),
  }),
  gauges: ({ streams }) => {
    const each = (value: (one: (typeof streams)[number]) => number | null) =>
      streams.map(one => ({ labels: { entry: one.ingest }, value: value(one) }))
    return {
      ingest_lag_seconds: each(one => one.lagSeconds),
      ingest_pending: each(one => one.pending),
      ingest_stream_length: each(one => one.length),
    }
  },
  async look(c) {
    const streams = []
    for (const [ingest, { stream, group }] of Object.entries(c.entries.ingest)) {
      const rejected = await rejectedWithin(c.ledger, ingest, hour)
      for (const { kind, entries, newest } of rejected)
        c.find({
          key: `${ingest}:${kind}`,
          level: 'warning',
          what: `${entries === 1 ? 'an entry' : `${entries} entries`} of ${stream} within the last hour could not be read as ${entries === 1 ? 'an event' : 'events'}: ${newest.reason}`,
          hint: 'correct its writer, or the fields in ingest.*.map; what comes after it is read all the same',
          evidence: { kind, entries, entry: newest.entry, at: new Date(newest.at).toISOString(), excerpt: newest.excerpt },
        })
      const found = { ingest, stream, group, setAside: Object.fromEntries(rejected.map(({ kind, entries }) => [kind, entries])) }
      const info = await streamInfo(c.redis, stream)
      if (!info) {
        c.find({
          key: `${ingest}:missing`,
          level: 'warning',
          what: `there is no stream ${stream}: no event of it comes`,
          hint: 'does its service write into this Redis, under this name? Reading begins by itself when it comes',
        })
        streams.push({ ...found, length: null, pending: null, delivered: null, lagSeconds: null })
        continue
      }
      const reader = (await groupsOf(c.redis, stream)).find(({ name }) => name === group)
      const [newest, oldest] = [String(info['last-generated-id']), (info['first-entry'] as [string] | null)?.[0]]
      const delivered = reader ? String(reader['last-delivered-id']) : null
      const before = c.last?.result.streams.find(one => one.ingest === ingest)
      // Twice in the same place, and more to read both times: nobody reads.
      if (before?.length && before.delivered === delivered && before.lagSeconds !== 0 && delivered !== newest)
        c.find({
          key: `${ingest}:unread`,
          level: 'warning',
          what: `nobody has read ${stream} since ${c.last!.at.toISOString()}, and there is more to read`,
          hint: 'the log of redis-inspector says why: rights, or a ledger that is away; docs/operate/ingest.md has the rights',
          evidence: { delivered, newest },
        })
      // Known only where Redis knows how many the group has read: 0, or more than were trimmed, is no loss.
      const lost = Number(info['entries-added']) - Number(info['length']) - Number(reader?.['entries-read'] ?? Number.NaN)
      if (delivered && oldest && isBefore(delivered, oldest) && lost > 0)
        c.find({
          key: `${ingest}:lost`,
          level: 'error',
          what: `${lost} entries of ${stream} were trimmed before they were read`,
          hint: 'is redis-inspector running? A longer MAXLEN of its writer gives it more time',
          evidence: { lost, delivered, oldest },
        })
      streams.push({
        ...found,
        length: Number(info['length']),
        pending: reader ? Number(reader['pending']) : null,
        delivered,
        lagSeconds: delivered ? Math.max(0, milliseconds(newest) - milliseconds(delivered)) / 1_000 : null,
      })
    }
    return { streams }
  },
})

const milliseconds = (id: string) => Number(id.split('-')[0])
