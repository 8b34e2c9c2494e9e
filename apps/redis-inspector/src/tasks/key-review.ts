// redis.key-review: what lives in a server: keys and bytes by prefix, the largest, what lives longer than was promised, what grows; in one pass beside its other clients.
import { deflateSync, inflateSync } from 'node:zlib'
import type { RedisTarget } from '@dbops/contract/config-file'
import { duration, formatDuration, parseDuration } from '@dbops/contract/duration'
import { how } from '@dbops/contract/task'
import { z } from 'zod'
import { fieldOf, numberOf } from '../info.ts'
import { factsOf, keyFacts, rulesOf } from '../keys/facts.ts'
import { judge } from '../keys/judge.ts'
import { anywhere, countsUses, scan } from '../keys/scan.ts'
import { KeyTally, type Saved } from '../keys/tally.ts'
import { defineTask, type Info } from '../task.ts'

/** Places that a sample is drawn from: in one Redis of a later version neighbours in the order of SCAN may be of one slot. */
const draws = 16
/** A sample of more than this share of the keys is no less work than all of them. */
const nearlyAll = 0.5
/** Keys between two saves of what an attempt after this one goes on from. */
const saveEvery = 200_000
/** Characters of it: a state has room for 64 KiB in all. */
const mostSaved = 60_000

export default defineTask({
  name: 'redis.key-review',
  summary: 'Look at all keys: memory by prefix, the largest, those that live too long, what grows',
  params: z.strictObject({
    sample: z.int().min(1_000).optional().describe('look at about so many keys, drawn by lot; left out: at all'),
    share: how(z.int().min(1).max(100).default(25).describe('percent of the time of the server that the review may take')),
    budget: how(duration.default('1h').describe('ends then with the keys that were seen, and says how far off its figures may be')),
  }),
  result: keyFacts,
  /** `tally` is packed: names are bytes. */
  state: z.strictObject({ server: z.string(), rules: z.string(), cursor: z.string(), spentMs: z.number(), tally: z.string() }),
  lane: 'light',
  timeout: '6h',
  deadline: '24h',
  retry: 'resume',

  plan: async c => {
    const info = await c.redis.info()
    const keys = await c.redis.command<number>('DBSIZE')
    return { keys, looksAt: wanted(keys, c.params.sample), policy: fieldOf(info, 'maxmemory_policy'), share: `${c.params.share} %` }
  },

  async run(c) {
    const began = performance.now()
    const info = await c.redis.info()
    const server = fieldOf(info, 'run_id')
    const rules = rulesOf((c.target.config as RedisTarget).keys)
    const promised = JSON.stringify(rules)
    // A server that was restarted, or another one in its place, has its keys in another order; what is promised now was not looked for before.
    const before = c.state?.server === server && c.state.rules === promised ? c.state : undefined
    if (c.state && !before) c.log('the server was restarted or replaced in the middle of the review, or `keys` changed: it begins anew')
    const tally = new KeyTally(rules, before && (JSON.parse(inflateSync(Buffer.from(before.tally, 'base64')).toString()) as Saved))
    const keys = await c.redis.command<number>('DBSIZE')
    const most = wanted(keys, c.params.sample)
    const drawn = most < keys
    const deadline = began + parseDuration(c.params.budget) - (before?.spentMs ?? 0)
    const options = { redis: c.redis, info, share: c.params.share, signal: c.signal }
    let stopped: 'sample' | 'budget' | null = null
    let savedAt = tally.seen
    const spent = () => (before?.spentMs ?? 0) + performance.now() - began

    for (let draw = 0; draw < (drawn ? draws : 1) && !stopped; draw++) {
      const from = drawn ? anywhere() : (before?.cursor ?? '0')
      const enough = drawn ? Math.ceil((most * (draw + 1)) / draws) : Number.POSITIVE_INFINITY
      for await (const { keys: some, cursor } of scan(options, from)) {
        for (const key of some) tally.add(key)
        c.progress(Math.min(tally.seen, most), most, 'keys')
        if (cursor === '0' || tally.seen >= enough) break
        if (performance.now() > deadline) {
          stopped = 'budget'
          c.log(`the budget of ${c.params.budget} is over after ${tally.seen} keys`)
          break
        }
        // A sample is as soon drawn anew.
        if (!drawn && tally.seen - savedAt >= saveEvery) {
          savedAt = tally.seen
          const packed = deflateSync(JSON.stringify(tally.saved())).toString('base64')
          // Names of any bytes may pack badly: then the last save is gone on from, or nothing.
          if (packed.length < mostSaved) await c.save({ server, rules: promised, cursor, spentMs: spent(), tally: packed })
        }
      }
    }
    if (drawn) stopped ??= 'sample'
    const facts = factsOf(tally.saved(), {
      version: fieldOf(info, 'redis_version'),
      policy: fieldOf(info, 'maxmemory_policy'),
      lfu: countsUses(info),
      keys: await c.redis.command<number>('DBSIZE'),
      elsewhere: keysElsewhere(info, keys),
      complete: stopped === null,
      stopped,
      seconds: Math.round(spent()) / 1_000,
      datasetBytes: numberOf(info, 'used_memory_dataset'),
      rules,
      last: await c.last(),
    })
    await c.found(judge(facts))
    c.log(`${facts.seen} of ${facts.keys} keys in ${formatDuration(spent())}`)
    return facts
  },
})

const wanted = (keys: number, sample: number | undefined) => (sample === undefined || sample > keys * nearlyAll ? keys : sample)

/** Of the keys of all logical databases those that are not in this one. */
function keysElsewhere(info: Info, here: number): number {
  let all = 0
  for (const [field, value] of info) if (/^db\d+$/.test(field)) all += Number(/keys=(\d+)/.exec(value)?.[1] ?? 0)
  return Math.max(0, all - here)
}
