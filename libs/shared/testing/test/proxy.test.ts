// The proxy does what a network does, and no more: it loses connections and replies and takes its time, but never changes the order of bytes or lets one pass that it holds.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Proxy, startProxy } from '@dbops/testing/proxy'
import { until } from '@dbops/testing/until'
import { afterEach, beforeEach, expect, test } from 'vitest'

let server: Server
let proxy: Proxy
/** What the server has heard, over all connections; it answers each piece with the same in capitals. */
let heard = ''
const atServer = new Set<Socket>()
const opened: Socket[] = []
beforeEach(async () => {
  heard = ''
  atServer.clear()
  server = createServer(socket => {
    atServer.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => atServer.delete(socket))
    socket.on('data', data => {
      heard += String(data)
      socket.write(String(data).toUpperCase())
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy = await startProxy(`tcp://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy()
  await proxy.close()
  for (const socket of atServer) socket.destroy()
  server.close()
})

async function client() {
  const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  opened.push(socket)
  socket.setNoDelay(true)
  socket.on('error', () => undefined)
  const one = { socket, heard: '', closed: false, say: (text: string) => void socket.write(text) }
  socket.on('data', data => void (one.heard += String(data)))
  socket.on('close', () => void (one.closed = true))
  await once(socket, 'connect')
  return one
}
const hears = (one: { heard: string }, text: string) => until(`it hears ${text}, not ${one.heard}`, () => one.heard === text)

test('what was said under a delay comes before what was said after it', async () => {
  const one = await client()
  one.say('a')
  await hears(one, 'A')
  proxy.delay(150)
  one.say('b')
  await sleep(20)
  proxy.delay(0)
  one.say('c')
  await until('all is there', () => one.heard.length === 3)
  expect([heard, one.heard]).toEqual(['abc', 'ABC'])
})

test('a delay is felt once each way', async () => {
  const one = await client()
  proxy.delay(100)
  const begun = performance.now()
  one.say('a')
  await hears(one, 'A')
  expect(performance.now() - begun).toBeGreaterThan(199)
})

test('what is on its way when the line freezes waits as well, and comes in order when it thaws', async () => {
  const one = await client()
  proxy.delay(50)
  one.say('a')
  await sleep(20)
  proxy.freeze()
  one.say('b')
  await sleep(200)
  const during = [heard, one.heard]
  proxy.thaw()
  await hears(one, 'AB')
  expect(during).toEqual(['', ''])
})

test('a connection made while the line is frozen is accepted, and silent until it thaws', async () => {
  proxy.freeze()
  const one = await client()
  one.say('a')
  await sleep(100)
  const during = [heard, one.heard]
  proxy.thaw()
  await hears(one, 'A')
  expect(during).toEqual(['', ''])
})

test('who hangs up on a frozen line is not heard hanging up until it thaws', async () => {
  const one = await client()
  one.say('a')
  await hears(one, 'A')
  proxy.freeze()
  one.socket.destroy()
  await sleep(100)
  const during = atServer.size
  proxy.thaw()
  await until('the server knows', () => atServer.size === 0)
  expect(during).toBe(1)
})

test('a forgotten connection stays silent after a thaw; one made later works', async () => {
  const one = await client()
  one.say('a')
  await hears(one, 'A')
  proxy.forget()
  proxy.freeze()
  proxy.thaw()
  one.say('b')
  const other = await client()
  other.say('c')
  await hears(other, 'C')
  await sleep(100)
  expect([heard, one.heard, one.closed]).toEqual(['ac', 'A', false])
})

test('a cut breaks what is open on both sides, and nothing that comes later', async () => {
  const one = await client()
  one.say('a')
  await hears(one, 'A')
  proxy.cut()
  await until('both know', () => one.closed && atServer.size === 0)
  const other = await client()
  other.say('b')
  await hears(other, 'B')
})

test('what was said before one hangs up arrives', async () => {
  const one = await client()
  proxy.delay(100)
  one.say('last words')
  one.socket.end()
  await until('the server has ended', () => heard !== '' && atServer.size === 0)
  expect(heard).toBe('last words')
})

test('a lost reply: the server did it, the answer does not come, and the connection breaks', async () => {
  const [one, other] = [await client(), await client()]
  const trap = proxy.loseReplyTo('commit', 'begin')
  for (const [who, text] of [
    [other, 'commit'],
    [one, 'begin'],
  ] as const) {
    who.say(text)
    await hears(who, text.toUpperCase())
  }
  one.say('commit')
  await trap.sprung
  await until('it breaks', () => one.closed)
  other.say('!')
  await hears(other, 'COMMIT!')
  expect([heard, one.heard]).toEqual(['commitbegincommit!', 'BEGIN'])
})

test('a trap that is taken away loses nothing', async () => {
  const one = await client()
  proxy.loseReplyTo('commit').disarm()
  one.say('commit')
  await hears(one, 'COMMIT')
})

test('who does not read holds back who writes: nothing is heaped up on the way', async () => {
  const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1')
  opened.push(socket)
  await until('it is open', () => atServer.size === 1)
  socket.pause()
  const [writer] = atServer
  const piece = Buffer.alloc(1 << 20)
  let written = 0
  const writes = async () => {
    while (written < 256) {
      written++
      if (!writer!.write(piece)) await once(writer!, 'drain')
    }
  }
  void writes()
  let before = -1
  await until('it is held back', () => before === (before = written), { every: 300 })
  expect(written).toBeLessThan(64)
})
