// redis.memory-review: where the memory of a server goes, judged on figures in their context: an idle instance with a high fragmentation ratio is healthy.
import type { Fault } from '@dbops/contract/task'
import { mebibytes } from '@dbops/runtime/redis'
import { z } from 'zod'
import { fieldOf, numberOf } from '../info.ts'
import { defineTask, type Info } from '../task.ts'

const count = z.int().min(0)

const memoryFacts = z.strictObject({
  usedBytes: count,
  peakBytes: count,
  /** What the operating system has given, the server's own overhead included. */
  residentBytes: count,
  /** Null: no limit of its own. */
  maxMemoryBytes: count.nullable(),
  policy: z.string(),
  /** Of `used`: what is no data of the application. */
  overheadBytes: count,
  datasetBytes: count,
  clientsBytes: count,
  /** Buffers of replicas and of the AOF, which no eviction frees. */
  notEvictableBytes: count,
  /** Resident by used, as the server says it. */
  fragmentation: z.number(),
  /** Of the allocator alone: what was freed and is not given back. Null where this server does not say it. */
  allocatorFragmentation: z.number().nullable(),
  evictedKeys: count,
  rejectedConnections: count,
  activeDefrag: z.boolean(),
})
export type MemoryFacts = z.output<typeof memoryFacts>

export default defineTask({
  name: 'redis.memory-review',
  summary: 'Look at where the memory goes: limit, overhead, clients, fragmentation',
  params: z.strictObject({}),
  result: memoryFacts,
  lane: 'light',

  async run(c) {
    const facts = memoryOf(await c.redis.info())
    await c.found(review(facts))
    return facts
  },
})

export function memoryOf(info: Info): MemoryFacts {
  const ratio = info.get('allocator_frag_ratio')
  return {
    usedBytes: numberOf(info, 'used_memory'),
    peakBytes: numberOf(info, 'used_memory_peak'),
    residentBytes: numberOf(info, 'used_memory_rss'),
    maxMemoryBytes: numberOf(info, 'maxmemory') || null,
    policy: fieldOf(info, 'maxmemory_policy'),
    overheadBytes: numberOf(info, 'used_memory_overhead'),
    datasetBytes: numberOf(info, 'used_memory_dataset'),
    clientsBytes: numberOf(info, 'mem_clients_normal'),
    notEvictableBytes: numberOf(info, 'mem_not_counted_for_evict'),
    fragmentation: numberOf(info, 'mem_fragmentation_ratio'),
    allocatorFragmentation: ratio === undefined ? null : Number(ratio),
    evictedKeys: numberOf(info, 'evicted_keys'),
    rejectedConnections: numberOf(info, 'rejected_connections'),
    activeDefrag: info.get('active_defrag_running') === '1',
  }
}

/** Below this a ratio says nothing: what a server needs for itself is much of what it has (domain: 2.42 on 4.5 MB, healthy). */
const largeEnough = 200 * 2 ** 20
/** Of maxmemory. */
const [nearLimit, clientsShare] = [0.8, 0.2]
/** Freed and not given back, of what is used. */
const fragmented = 1.5
/** Less than this share of it resident: the rest is swapped out. */
const swapped = 0.8

export function review(m: MemoryFacts): Fault[] {
  const faults: Fault[] = []
  const find = (key: string, level: Fault['level'], what: string, hint: string) =>
    faults.push({ key, level, what, hint, evidence: { usedBytes: m.usedBytes, maxMemoryBytes: m.maxMemoryBytes, policy: m.policy } })
  const evicts = m.policy !== 'noeviction'
  if (m.maxMemoryBytes === null)
    find(
      'limit',
      'warning',
      `it has no maxmemory: it takes ${mebibytes(m.usedBytes)} MiB and may take all that the machine has, and is then killed by the kernel`,
      'CONFIG SET maxmemory to about three quarters of the machine or the container, with room for copies during a save',
    )
  // With eviction a full cache is what it is for.
  else if (!evicts && m.usedBytes > m.maxMemoryBytes * nearLimit)
    find(
      'full',
      m.usedBytes >= m.maxMemoryBytes ? 'error' : 'warning',
      `${share(m.usedBytes, m.maxMemoryBytes)} of its maxmemory of ${mebibytes(m.maxMemoryBytes)} MiB are used; at its end it refuses every write (${m.policy})`,
      'raise maxmemory, or find what grows: a key review names the prefixes',
    )
  if (m.maxMemoryBytes !== null && m.clientsBytes > m.maxMemoryBytes * clientsShare)
    find(
      'clients',
      'warning',
      `buffers of clients take ${mebibytes(m.clientsBytes)} MiB, ${share(m.clientsBytes, m.maxMemoryBytes)} of maxmemory`,
      'who reads too slowly or asks for too much at once: CLIENT LIST, by omem and qbuf; client-output-buffer-limit and maxmemory-clients bound it',
    )
  if (m.usedBytes > largeEnough) {
    if ((m.allocatorFragmentation ?? 1) > fragmented && !m.activeDefrag)
      find(
        'fragmentation',
        'warning',
        `the allocator holds ${m.allocatorFragmentation!.toFixed(2)} times of what is used: memory that was freed is not given back`,
        'CONFIG SET activedefrag yes, where the server was built with jemalloc; else a restart of a replica and a failover',
      )
    if (m.residentBytes < m.usedBytes * swapped)
      find(
        'swap',
        'error',
        `only ${share(m.residentBytes, m.usedBytes)} of ${mebibytes(m.usedBytes)} MiB is in memory: the rest is swapped out, and each access to it waits for a disk`,
        'the machine is too small for it: less maxmemory, more memory, or no swap',
      )
  }
  if (m.rejectedConnections)
    find(
      'connections',
      'warning',
      `${m.rejectedConnections} connections were refused since its start: maxclients was reached`,
      'who has them: CLIENT LIST by name; a pool without an end, or maxclients too small',
    )
  return faults
}

const share = (part: number, of: number) => `${((part / of) * 100).toFixed(0)} %`
