// A TCP proxy in front of a server, for faults that lie on the way: connections that break, that go silent, that are slow, or that lose one reply.
// Whatever the fault, bytes arrive in the order in which they were sent, or not at all.

import type { AddressInfo } from 'node:net'
import { createServer, connect as open, type Socket } from 'node:net'

export interface Proxy {
  /** The server's URL, by way of the proxy. */
  url: string
  /** Nothing passes in either direction, what is on its way included, and nobody is told; new connections are accepted and as silent. Undone by `thaw`, which passes on what had been said. */
  freeze(): void
  thaw(): void
  /** The connections that are open now never get another byte, as after a lost route; those made later work. Nothing undoes it. */
  forget(): void
  /** Breaks every connection. */
  cut(): void
  /** Every piece of data takes this long each way, in ms. */
  delay(ms: number): void
  /** Once: the piece that contains `asked` passes, on a connection on which `before` (if given) has passed, and the connection breaks before the reply comes. */
  loseReplyTo(asked: string, before?: string): Trap
  close(): Promise<void>
}
export interface Trap {
  /** Resolves when the reply is lost. */
  sprung: Promise<void>
  /** From now on it loses nothing. */
  disarm(): void
}

/** One way through the proxy. */
interface Lane {
  from: Socket
  to: Socket
  /** What is on its way, and when it is there at the earliest. The last of it may be that `from` has hung up. */
  queue: { due: number; data: Buffer | 'hung up' }[]
  bytes: number
  timer?: NodeJS.Timeout
  /** What comes on it is lost from here on. */
  deaf: boolean
}
interface Connection {
  lanes: [Lane, Lane]
  forgotten: boolean
  /** The traps whose `before` has passed here. */
  readyFor: WeakSet<Trap>
}

/** What one way holds before its sender has to wait. */
const room = 1 << 20
const breaksAfter = 300

export async function startProxy(url: string): Promise<Proxy> {
  const { hostname, port } = new URL(url)
  const connections = new Set<Connection>()
  let frozen = false
  let lag = 0
  let trap: (Trap & { asked: string; before?: string; spring: () => void }) | undefined

  const server = createServer({ allowHalfOpen: true }, client => {
    const upstream = open({ port: Number(port), host: hostname, allowHalfOpen: true })
    const [up, down] = [lane(client, upstream), lane(upstream, client)]
    const connection: Connection = { lanes: [up, down], forgotten: false, readyFor: new WeakSet() }
    connections.add(connection)
    up.from.on('data', data => springs(connection, data) && loseReply(connection))
    for (const one of connection.lanes) {
      one.from.setNoDelay(true)
      one.from.on('data', data => !one.deaf && put(connection, one, data))
      one.from.on('end', () => put(connection, one, 'hung up'))
      one.from.on('error', () => put(connection, one, 'hung up'))
      one.from.on('close', () => {
        put(connection, one, 'hung up')
        if (one.to.destroyed) connections.delete(connection)
      })
      one.to.on('drain', () => flow(connection, one))
      if (frozen) one.from.pause()
    }
  })

  const holds = (connection: Connection) => frozen || connection.forgotten
  function put(connection: Connection, one: Lane, data: Buffer | 'hung up') {
    const last = one.queue.at(-1)
    if (last?.data === 'hung up') return
    // Never before what was said earlier, also when the delay has shrunk since.
    one.queue.push({ data, due: Math.max(performance.now() + lag, last?.due ?? 0) })
    if (data !== 'hung up') one.bytes += data.length
    flow(connection, one)
  }
  /** Passes on what is due, and lets the sender speak as long as there is room for it. */
  function flow(connection: Connection, one: Lane) {
    clearTimeout(one.timer)
    if (holds(connection)) return void one.from.pause()
    while (one.queue.length && !one.to.destroyed && !one.to.writableNeedDrain) {
      const { due, data } = one.queue[0]!
      const wait = due - performance.now()
      if (wait > 0) {
        one.timer = setTimeout(() => flow(connection, one), Math.ceil(wait))
        break
      }
      one.queue.shift()
      if (data === 'hung up') one.to.end()
      else {
        one.bytes -= data.length
        one.to.write(data)
      }
    }
    if (one.bytes < room) one.from.resume()
    else one.from.pause()
  }
  const each = (act: (connection: Connection) => void) => {
    for (const connection of connections) act(connection)
  }
  const flowAll = () => each(connection => connection.lanes.forEach(one => flow(connection, one)))
  const breakOff = (connection: Connection) => {
    for (const one of connection.lanes) {
      clearTimeout(one.timer)
      one.from.destroy()
    }
    connections.delete(connection)
  }

  function springs({ readyFor }: Connection, data: Buffer): boolean {
    if (!trap) return false
    const text = data.toString('latin1')
    const isReady = trap.before === undefined || readyFor.has(trap)
    if (isReady && text.includes(trap.asked)) return true
    if (trap.before !== undefined && text.includes(trap.before)) readyFor.add(trap)
    return false
  }
  function loseReply(connection: Connection) {
    connection.lanes[1].deaf = true
    trap!.spring()
    trap = undefined
    setTimeout(() => breakOff(connection), breaksAfter)
  }

  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = new URL(url)
  address.hostname = '127.0.0.1'
  address.port = String((server.address() as AddressInfo).port)
  return {
    url: address.href,
    freeze() {
      frozen = true
      flowAll()
    },
    thaw() {
      frozen = false
      flowAll()
    },
    forget() {
      each(connection => (connection.forgotten = true))
      flowAll()
    },
    cut: () => each(breakOff),
    delay: ms => void (lag = ms),
    loseReplyTo(asked, before) {
      const { promise: sprung, resolve: spring } = Promise.withResolvers<void>()
      const mine = { asked, before, sprung, spring, disarm: () => void (trap = trap === mine ? undefined : trap) }
      return (trap = mine)
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        each(breakOff)
      }),
  }
}

const lane = (from: Socket, to: Socket): Lane => ({ from, to, queue: [], bytes: 0, deaf: false })
