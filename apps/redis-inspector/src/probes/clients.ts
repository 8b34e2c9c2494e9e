// redis.clients: who is connected, by the names that applications give themselves: how many, how many of them idle, and who reads too slowly.
import { mebibytes } from '@dbops/runtime/redis'
import { z } from 'zod'
import { defineProbe } from '../task.ts'

const count = z.int().min(0)
/** A connection that has asked nothing for so long, in seconds. */
const idle = 300
/** Of maxclients: beyond it new connections are refused, those of an operator too. */
const near = 0.8
/** Bytes that wait for one client to be read. */
const behind = 32 * 2 ** 20
/** Applications that are shown. */
const most = 50

export default defineProbe({
  name: 'redis.clients',
  summary: 'Who is connected, by application: how many, how many idle, whose answers pile up',
  every: '60s',
  result: z.strictObject({
    connections: count,
    /** Null where INFO does not say it. */
    limit: count.nullable(),
    /** In a blocking read. */
    blocked: count,
    applications: z.array(
      z.strictObject({
        /** As CLIENT SETNAME said it; null: it has none. */
        name: z.string().nullable(),
        user: z.string(),
        connections: count,
        /** Of them, have asked nothing for five minutes. */
        idle: count,
        /** Hosts that they come from. */
        hosts: count,
        outputBytes: count,
      }),
    ),
  }),
  gauges: ({ limit, blocked, applications }) => ({
    redis_connections: applications.map(one => ({ labels: { application: one.name ?? '', user: one.user }, value: one.connections })),
    redis_connections_idle: applications.map(one => ({ labels: { application: one.name ?? '', user: one.user }, value: one.idle })),
    redis_connections_limit: limit,
    redis_connections_blocked: blocked,
  }),
  async look(c) {
    const info = await c.redis.info()
    const clients = parseClients(await c.redis.command<string>('CLIENT', 'LIST'))
    const said = Number(info.get('maxclients') ?? Number.NaN)
    const limit = Number.isNaN(said) ? null : said
    if (limit !== null && clients.length >= limit * near)
      c.find({
        key: 'limit',
        level: clients.length >= limit * 0.95 ? 'error' : 'warning',
        what: `${clients.length} of ${limit} connections are taken`,
        hint: 'who has them stands in this reading, by application; a pool without an upper bound, or one for each request; CONFIG SET maxclients for more',
      })
    for (const one of clients.filter(({ outputBytes }) => outputBytes > behind))
      c.find({
        key: `behind ${one.name || one.host}`,
        level: 'warning',
        what: `${one.name || 'a client without a name'} from ${one.host} leaves ${mebibytes(one.outputBytes)} MiB of answers unread: it is memory of the server`,
        hint: 'it asks for too much at once, or hangs; client-output-buffer-limit and maxmemory-clients bound it, CLIENT KILL ID ends it',
        evidence: { id: one.id, name: one.name, host: one.host, command: one.command },
      })
    const byApplication = Map.groupBy(clients, one => `${one.name}\n${one.user}`)
    return {
      connections: clients.length,
      limit,
      blocked: clients.filter(one => one.blocked).length,
      applications: [...byApplication.values()]
        .map(all => ({
          name: all[0]!.name || null,
          user: all[0]!.user,
          connections: all.length,
          idle: all.filter(one => one.idle >= idle).length,
          hosts: new Set(all.map(({ host }) => host)).size,
          outputBytes: all.reduce((sum, one) => sum + one.outputBytes, 0),
        }))
        .toSorted((a, b) => b.connections - a.connections)
        .slice(0, most),
    }
  },
})

interface Client {
  id: string
  /** Of ours without what is of one attempt. */
  name: string
  user: string
  host: string
  /** Seconds. */
  idle: number
  blocked: boolean
  outputBytes: number
  command: string
}

/** A line for each client; a name has no blanks, and no field is missing from one that has another. */
export function parseClients(text: string): Client[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map(line => {
      const fields = new Map(line.split(' ').map(field => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)]))
      const of = (name: string) => fields.get(name) ?? ''
      return {
        id: of('id'),
        name: of('name').startsWith('dbops:') ? 'dbops' : of('name'),
        user: of('user'),
        host: of('addr').replace(/:\d+$/, ''),
        idle: Number(of('idle')),
        blocked: of('flags').includes('b'),
        outputBytes: Number(of('omem') || 0),
        command: of('cmd'),
      }
    })
}
