// A TCP proxy in front of a server, for faults that lie on the way: connections that break, that go silent, that are slow, or that lose one reply.

import type { AddressInfo } from 'node:net'
import { createServer, connect as open, type Socket } from 'node:net'

export interface Proxy {
  /** The server's URL, by way of the proxy. */
  url: string
  /** Nothing passes in either direction, and nobody is told; new connections are accepted and as silent. Undone by `thaw`, which passes on what had been said. */
  freeze(): void
  thaw(): void
  /** The connections that are open now never get another byte, as after a lost route; those made later work. */
  forget(): void
  /** Breaks every connection. */
  cut(): void
  /** Every piece of data takes this long each way, in ms. */
  delay(ms: number): void
  /** Once: the piece that contains `asked` passes, on a connection on which `before` has passed, and the connection breaks before the reply comes. Resolves then. */
  loseReplyTo(asked: string, before: string): Promise<void>
  close(): Promise<void>
}

export async function startProxy(url: string): Promise<Proxy> {
  const { hostname, port } = new URL(url)
  const pairs = new Set<[Socket, Socket]>()
  let frozen = false
  let lag = 0
  let trap: { asked: string; before: string; sprung: () => void } | undefined
  const server = createServer(client => {
    const upstream = open(Number(port), hostname)
    const pair: [Socket, Socket] = [client, upstream]
    pairs.add(pair)
    let armed = false
    let mute = false
    for (const [from, to] of [pair, [upstream, client] as const]) {
      from.setNoDelay(true)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
      from.on('data', data => {
        if (from === upstream && mute) return
        if (from === client && trap) {
          const text = data.toString('latin1')
          if (armed && text.includes(trap.asked)) {
            mute = true
            trap.sprung()
            trap = undefined
            setTimeout(() => client.destroy(), 300)
          } else if (text.includes(trap.before)) armed = true
        }
        if (lag) setTimeout(() => to.writable && to.write(data), lag)
        else to.write(data)
      })
      if (frozen) from.pause()
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = new URL(url)
  address.hostname = '127.0.0.1'
  address.port = String((server.address() as AddressInfo).port)
  const each = (act: (socket: Socket) => void) => {
    for (const pair of pairs) for (const socket of pair) act(socket)
  }
  return {
    url: address.href,
    freeze() {
      frozen = true
      each(socket => socket.pause())
    },
    thaw() {
      frozen = false
      each(socket => socket.resume())
    },
    forget: () => each(socket => socket.pause()),
    cut: () => each(socket => socket.destroy()),
    delay: ms => void (lag = ms),
    loseReplyTo: (asked, before) => new Promise(sprung => (trap = { asked, before, sprung })),
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        each(socket => socket.destroy())
      }),
  }
}
