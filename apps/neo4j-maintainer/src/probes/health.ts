// neo4j.health: whether the server answers, its databases serve, and the few numbers that say how it is. Works on the Community edition.
import { Problem } from '@dbops/contract/failure'
import { z } from 'zod'
import { defineProbe } from '../task.ts'

const databaseStates = `
  SHOW DATABASES YIELD name, requestedStatus, currentStatus, statusMessage`
// The heap as it is, garbage included: high for a moment is normal, high for long is not.
const heap = `
  CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes
  WITH attributes.HeapMemoryUsage.value.properties AS heap
  RETURN heap.used AS used, heap.max AS max`
const uptime = `
  CALL dbms.queryJmx('java.lang:type=Runtime') YIELD attributes
  RETURN attributes.Uptime.value / 1000.0 AS seconds`
// Both are answered by the count store, whatever the size of the graph.
const countNodes = `MATCH (n) RETURN count(n) AS count`
const countRelationships = `MATCH ()-[r]->() RETURN count(r) AS count`
const transactions = `
  SHOW TRANSACTIONS YIELD metaData, elapsedTime
   WHERE metaData.dbops IS NULL
  RETURN count(*) AS count, max(elapsedTime.milliseconds) / 1000.0 AS longest`

export default defineProbe({
  name: 'neo4j.health',
  summary: 'Whether the server answers and its databases serve: version, heap, counts, transactions',
  every: '10s',
  result: z.strictObject({
    version: z.string(),
    edition: z.string(),
    uptimeSeconds: z.number(),
    /** By name, what SHOW DATABASES says of each. */
    databases: z.record(z.string(), z.string()),
    heapUsedBytes: z.int(),
    /** Null where the JVM has no limit. */
    heapMaxBytes: z.int().nullable(),
    nodes: z.int(),
    relationships: z.int(),
    /** Those that are open now, without our own. */
    transactions: z.int(),
    longestTransactionSeconds: z.number(),
  }),
  emits: { failed: 'neo4j_connection_failed', recovered: 'neo4j_connection_recovered' },
  gauges: seen => ({
    neo4j_uptime_seconds: seen.uptimeSeconds,
    neo4j_databases_online: Object.values(seen.databases).filter(status => status === 'online').length,
    neo4j_heap_memory_used_bytes: seen.heapUsedBytes,
    neo4j_heap_memory_max_bytes: seen.heapMaxBytes,
    neo4j_nodes: seen.nodes,
    neo4j_relationships: seen.relationships,
    neo4j_transactions: seen.transactions,
    neo4j_longest_transaction_seconds: seen.longestTransactionSeconds,
  }),
  compat: ({ heapUsedBytes, heapMaxBytes }) => ({ neo4j_heap_memory_used_bytes: heapUsedBytes, neo4j_heap_memory_max_bytes: heapMaxBytes }),
  async look({ neo4j }) {
    const databases = await neo4j.read<DatabaseState>(databaseStates, {}, { database: 'system' })
    refuseBroken(databases)
    const one = async <Row extends object>(cypher: string) => (await neo4j.read<Row>(cypher))[0]!
    const memory = await one<{ used: number; max: number }>(heap)
    const open = await one<{ count: number; longest: number | null }>(transactions)
    return {
      version: neo4j.version,
      edition: neo4j.edition,
      uptimeSeconds: (await one<{ seconds: number }>(uptime)).seconds,
      databases: Object.fromEntries(databases.map(({ name, currentStatus }) => [name, currentStatus])),
      heapUsedBytes: memory.used,
      heapMaxBytes: memory.max < 0 ? null : memory.max,
      nodes: (await one<{ count: number }>(countNodes)).count,
      relationships: (await one<{ count: number }>(countRelationships)).count,
      transactions: open.count,
      longestTransactionSeconds: open.longest ?? 0,
    }
  },
})

interface DatabaseState {
  name: string
  requestedStatus: string
  currentStatus: string
  statusMessage: string
}

/** A database that somebody stopped is meant to be so; one that is meant to serve and does not is what we are here for. */
function refuseBroken(databases: DatabaseState[]): void {
  const broken = databases.filter(({ requestedStatus, currentStatus }) => requestedStatus === 'online' && currentStatus !== 'online')
  if (!broken.length) return
  throw new Problem(
    broken
      .map(({ name, currentStatus, statusMessage }) => `database "${name}" is ${currentStatus}${statusMessage ? `: ${statusMessage}` : ''}`)
      .join('; '),
    { code: 'database_not_online', hint: 'SHOW DATABASES, then debug.log of the server' },
  )
}
