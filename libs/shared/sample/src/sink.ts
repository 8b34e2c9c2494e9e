// A receiver of signed webhooks on this machine: verifies each request as any receiver should, remembers it, and answers as it is told.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

export interface Received {
  headers: IncomingHttpHeaders
  body: string
  /** Whether the signature is the secret's, over this body, and at most five minutes old. */
  verified: boolean
  /** Why not. */
  reason?: string
  /** The `Idempotency-Key`. */
  key?: string
  /** A verified request whose key was accepted before: the sender was not sure, and tells the same thing again. */
  duplicate: boolean
  at: Date
}

export interface Answer {
  status: number
  headers?: Record<string, string>
}

export interface SinkOptions {
  secret: string
  /** On 127.0.0.1; a free one by default. */
  port?: number
  /** The answer to the n-th request, counted from 1; a promise lets the sender wait. By default 204, and 401 to a signature that does not verify. */
  answer?: (n: number) => Answer | Promise<Answer>
  onRequest?: (received: Received) => void
}

export interface Sink {
  url: string
  /** Every request so far, the oldest first. */
  received: Received[]
  stop(): Promise<void>
}

const tolerance = 5 * 60_000

/** Listens on 127.0.0.1. Errors: the port is taken. */
export async function startSink({ secret, port = 0, answer, onRequest }: SinkOptions): Promise<Sink> {
  const received: Received[] = []
  const accepted = new Set<string>()
  let requests = 0

  async function take(request: IncomingMessage, response: ServerResponse) {
    const n = ++requests
    const body = await text(request)
    const at = new Date()
    const reason = refuse(secret, String(request.headers['dbops-signature'] ?? ''), body, at)
    const verified = reason === undefined
    const key = request.headers['idempotency-key'] as string | undefined
    const duplicate = verified && key !== undefined && accepted.has(key)
    const one = { headers: request.headers, body, verified, reason, key, duplicate, at }
    received.push(one)
    onRequest?.(one)
    const { status, headers } = (await answer?.(n)) ?? { status: verified ? 204 : 401 }
    if (verified && key !== undefined && status < 300) accepted.add(key)
    response.writeHead(status, headers).end()
  }
  const server = createServer((request, response) => {
    // Only a sender that hangs up before its request is whole gets here.
    take(request, response).catch(() => response.destroy())
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received,
    async stop() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** The value of `Dbops-Signature`, `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`. */
export function sign(secret: string, body: string, at: Date): string {
  const time = String(Math.floor(at.getTime() / 1_000))
  return `t=${time},v1=${mac(secret, time, body).toString('hex')}`
}

/** Why a signature is not to be trusted, or undefined when it is. A time further than five minutes from `now`, either way, is a replay. */
export function refuse(secret: string, signature: string, body: string, now: Date): string | undefined {
  const [, time, hex] = /^t=([0-9]{1,12}),v1=([0-9a-f]{64})$/.exec(signature) ?? []
  if (!time || !hex) return 'no signature of the form t=<unix>,v1=<hex>'
  if (!timingSafeEqual(Buffer.from(hex, 'hex'), mac(secret, time, body))) return 'the signature is of another secret, time or body'
  return Math.abs(now.getTime() - Number(time) * 1_000) > tolerance ? 'the signature is more than five minutes off' : undefined
}

const mac = (secret: string, time: string, body: string) => createHmac('sha256', secret).update(`${time}.${body}`).digest()
