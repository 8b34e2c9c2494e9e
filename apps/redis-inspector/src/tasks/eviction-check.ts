// redis.eviction-check: what the eviction policy of a server would delete, against what lives there: whole streams with their groups, sessions, idempotency keys.
import type { RedisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { z } from 'zod'
import { fieldOf, numberOf } from '../info.ts'
import { rulesOf } from '../keys/facts.ts'
import { nameText } from '../keys/name.ts'
import { scan } from '../keys/scan.ts'
import { KeyTally } from '../keys/tally.ts'
import { allStreams } from '../streams/find.ts'
import { defineTask } from '../task.ts'

const count = z.int().min(0)
/** Keys as SCAN meets them, in the order of their hashes: a sample as good as a random one. */
const wanted = 5_000
/** Prefixes that are told, and percent of the server's time. */
const [most, share] = [50, 25]
const tells = { opened: 'redis_eviction_risk', gone: 'redis_eviction_safe' } as const
const mend =
  'streams, sessions and idempotency keys belong into an instance with maxmemory-policy noeviction and an alert on its memory, a cache into one of its own with allkeys-lru'

const sampledPrefix = z.strictObject({ prefix: z.string(), keys: count, withTtl: count, types: z.record(z.string(), count) })
type Prefix = z.output<typeof sampledPrefix>

export default defineTask({
  name: 'redis.eviction-check',
  summary: 'Look at what the eviction policy would delete: streams, sessions and what else must not go',
  params: z.strictObject({}),
  result: z.strictObject({
    policy: z.string(),
    /** Null: no limit of its own, so that nothing is evicted before the machine's memory is gone. */
    maxMemoryBytes: count.nullable(),
    usedMemoryBytes: count,
    /** Since the server's start. */
    evictedKeys: count,
    streams: z.array(z.string()),
    sampled: count,
    prefixes: z.array(sampledPrefix),
  }),
  lane: 'light',
  timeout: '30m',

  async run(c) {
    const info = await c.redis.info()
    const { names: streams } = await allStreams(c)
    const tally = new KeyTally([])
    for await (const { keys } of scan({ redis: c.redis, info, share, signal: c.signal }, '0')) {
      for (const key of keys) tally.add(key)
      if (tally.seen >= wanted) break
    }
    const { seen: sampled, learnt } = tally.saved()
    const facts = {
      policy: fieldOf(info, 'maxmemory_policy'),
      maxMemoryBytes: numberOf(info, 'maxmemory') || null,
      usedMemoryBytes: numberOf(info, 'used_memory'),
      evictedKeys: numberOf(info, 'evicted_keys'),
      streams,
      sampled,
      prefixes: learnt.prefixes
        .map(([prefix, { keys, withoutTtl, types }]) => ({ prefix: nameText(prefix), keys, withTtl: keys - withoutTtl, types }))
        .toSorted((a, b) => b.keys - a.keys)
        .slice(0, most),
    }
    const caches = rulesOf((c.target.config as RedisTarget).keys)
    await c.found(
      risks(
        facts,
        caches.filter(({ evictable }) => evictable).map(({ prefix }) => nameText(prefix)),
      ),
    )
    return facts
  },
})

interface Facts {
  policy: string
  maxMemoryBytes: number | null
  evictedKeys: number
  streams: string[]
  sampled: number
  prefixes: Prefix[]
}

/** What may be deleted that nobody makes again. What begins with one of `caches` may: its loss costs time alone. */
export function risks({ policy, maxMemoryBytes, evictedKeys, streams, sampled, prefixes }: Facts, caches: string[]): Fault[] {
  const faults: Fault[] = []
  const evidence = { policy, maxMemoryBytes, evictedKeys }
  const limit = maxMemoryBytes === null ? 'it has no maxmemory yet' : `${evictedKeys} keys were evicted since its start`
  if (policy.startsWith('allkeys-') && streams.length)
    faults.push({
      key: 'streams',
      level: 'warning',
      what: `under ${policy} a stream is evicted whole, with its groups: ${someOf(streams)}; ${limit}`,
      hint: mend,
      evidence: { ...evidence, streams: streams.slice(0, 20) },
      tells,
    })
  const lasting = prefixes.filter(({ prefix }) => !caches.some(cache => prefix.startsWith(cache)))
  const atStake = lasting.filter(one =>
    policy.startsWith('volatile-') ? one.withTtl > 0 : policy.startsWith('allkeys-') && !isStream(one),
  )
  if (atStake.length)
    faults.push({
      key: 'keys',
      level: 'warning',
      what: `under ${policy} keys are evicted that are no cache: ${someOf(atStake.map(({ prefix, keys }) => `${prefix}* (${Math.round((keys / sampled) * 100)} %)`))}; ${limit}`,
      hint: `${mend}; what is a cache is said under \`keys\` of the target: { prefix, evictable: true }`,
      evidence: { ...evidence, prefixes: atStake.slice(0, 20), sampled },
      tells,
    })
  return faults
}

const isStream = ({ types, keys }: Prefix) => types['stream'] === keys
const someOf = (all: string[]) => all.slice(0, 3).join(', ') + (all.length > 3 ? ` and ${all.length - 3} more` : '')
