// What every channel of the relay must do, run over each file in channels/: hand over, tell "never" from "not now", end when told to, keep secrets.
import { Later, Permanent } from '@dbops/contract/failure'
import { type Answer, type Sink, startSink } from '@dbops/sample/sink'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** A channel's `deliver` with everything bound but the message. */
export type Deliver<Message> = (message: Message, signal: AbortSignal) => Promise<void>

export interface ChannelContract<Message> {
  type: string
  firing: Message
  resolved: Message
  /** The channel, configured for the receiver at `url`. Whatever it is given as `secret`, and the path of the URL, must be in no error. */
  bind: (receiver: { url: string; secret: string }) => Deliver<Message>
  /** Whether it reaches its receiver over HTTP; else nothing can be refused. */
  http: boolean
}

const secret = 'canary-of-the-channel-contract'
const hidden = 'canary-in-the-path'

export function channelContract<Message>({ type, firing, resolved, bind, http }: ChannelContract<Message>): void {
  describe(`the channel ${type}`, () => {
    let sink: Sink
    let answer: () => Answer | Promise<Answer> = () => ({ status: 204 })
    beforeAll(async () => {
      sink = await startSink({ secret, answer: () => answer() })
    })
    afterAll(() => sink.stop())
    const never = new AbortController().signal
    const send = (message = firing, signal = never) => bind({ url: `${sink.url}${hidden}`, secret })(message, signal)
    const sendAgainst = (what: typeof answer) => {
      answer = what
      return send().then(
        () => new Error('it was taken'),
        (error: Error) => error,
      )
    }

    test('hands over an alarm and an all-clear', async () => {
      answer = () => ({ status: 200 })
      await expect(Promise.all([send(firing), send(resolved)])).resolves.toEqual([undefined, undefined])
    })

    test('does nothing when it is stopped before it began', async () => {
      const before = sink.received.length
      const stopped = await send(firing, AbortSignal.abort(new Error('stopped'))).catch((error: Error) => error.message)
      expect([stopped, sink.received.length - before]).toEqual(['stopped', 0])
    })

    if (!http) return

    test('ends when it is stopped while the receiver hangs', async () => {
      const stop = new AbortController()
      let letGo: (answer: Answer) => void = () => undefined
      answer = () => {
        stop.abort(new Error('stopped'))
        return new Promise(resolve => (letGo = resolve))
      }
      const began = performance.now()
      const ended = await send(firing, stop.signal).catch((error: Error) => error.message)
      letGo({ status: 204 })
      expect([ended, performance.now() - began < 2_000]).toEqual(['stopped', true])
    })

    test.each([400, 401, 403, 404, 410, 413, 422])('takes %i for a never', async status => {
      expect(await sendAgainst(() => ({ status }))).toBeInstanceOf(Permanent)
    })

    test.each([301, 302, 307, 308, 408, 425, 429, 500, 502, 503, 504])('takes %i for a not now', async status => {
      const error = await sendAgainst(() => ({ status, headers: { location: sink.url } }))
      expect([error instanceof Permanent, error.message]).toEqual([false, expect.stringContaining(String(status))])
    })

    test.each([429, 503])('hears how long to wait after %i', async status => {
      const error = await sendAgainst(() => ({ status, headers: { 'retry-after': '7' } }))
      expect(error).toMatchObject({ name: 'Later', after: 7_000 })
      expect(error).toBeInstanceOf(Later)
    })

    test('follows no redirect', async () => {
      const before = sink.received.length
      await sendAgainst(() => ({ status: 307, headers: { location: `${sink.url}elsewhere` } }))
      expect(sink.received.length - before).toBe(1)
    })

    test('tells no secret in any error', async () => {
      const away = await startSink({ secret })
      await away.stop()
      const unreachable = await bind({ url: `${away.url}${hidden}`, secret })(firing, never).catch((error: Error) => error)
      const malformed = await bind({ url: `no-url-${hidden}`, secret })(firing, never).catch((error: Error) => error)
      const refused = await sendAgainst(() => ({ status: 401 }))
      const failing = await sendAgainst(() => ({ status: 500 }))
      const told = [unreachable, malformed, refused, failing]
        .map(error => JSON.stringify(error, Object.getOwnPropertyNames(error)))
        .join('\n')
      expect([told.includes(secret), told.includes(hidden), told.split('\n').length]).toEqual([false, false, 4])
    })
  })
}
