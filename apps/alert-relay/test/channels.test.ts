// The contract of channels, run over every file in channels/; and what only one of them does.
import { type Channel as ChannelConfig, channel as channelConfig } from '@dbops/contract/config-file'
import { openLog } from '@dbops/runtime/log'
import { startSink } from '@dbops/sample/sink'
import { channelContract } from '@dbops/testing/channel-contract'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Channel, ChannelType } from '../src/channel.ts'
import { loadChannels } from '../src/load-channels.ts'
import type { Message } from '../src/message.ts'
import { message } from './a-message.ts'

interface Receiver {
  url: string
  secret: string
}
/** How each type is configured for a receiver: a new channel is one line here. */
const entries: Record<ChannelType, (receiver: Receiver) => object> = {
  webhook: ({ url, secret }) => ({ type: 'webhook', url, secret }),
  console: () => ({ type: 'console' }),
}
const overHttp: readonly ChannelType[] = ['webhook']

const channels = await loadChannels()
const log = openLog('alert-relay', 'test', 'silent')
const bind = (channel: Channel, config: ChannelConfig) => (sent: Message, signal: AbortSignal) =>
  channel.deliver({ name: 'ops', config, path: 'alerts.channels.ops', log }, sent, signal)

for (const [type, channel] of channels)
  channelContract<Message>({
    type,
    firing: message('firing'),
    resolved: message('resolved'),
    bind: receiver => bind(channel, channelConfig.parse(entries[type](receiver))),
    http: overHttp.includes(type),
  })

test('every type of the configuration has its file', () => {
  expect([...channels.keys()].toSorted()).toEqual(channelConfig.options.map(option => option.shape.type.value).toSorted())
})

describe('a webhook', () => {
  test('is signed, names its key, and carries the message as it is', async () => {
    await using sink = await receiver()
    await webhook({ url: sink.url })(message('firing'), never)
    const { verified, key, body } = sink.received[0]!
    expect({ verified, key, body: JSON.parse(body) }).toEqual({
      verified: true,
      key: message('firing').alert.key,
      body: message('firing'),
    })
  })

  test('signed with another secret is refused for good', async () => {
    await using sink = await receiver()
    const error = await webhook({ url: sink.url, secret: 'another' })(message('firing'), never).catch((error: Error) => error)
    expect(error).toMatchObject({ name: 'Permanent', code: 'http_401' })
  })

  test('goes to a receiver that wants a user and a password', async () => {
    await using sink = await receiver()
    await webhook({ url: sink.url.replace('//', '//me:p%40ss@') })(message('firing'), never)
    expect(sink.received[0]!.headers.authorization).toBe(`Basic ${Buffer.from('me:p@ss').toString('base64')}`)
  })

  test('gives up on a receiver that hangs, after its timeout', async () => {
    await using sink = await receiver(() => new Promise(() => undefined))
    const error = await webhook({ url: sink.url, timeout: '50ms' })(message('firing'), never).catch((error: Error) => error)
    expect(error).toMatchObject({ code: 'timeout', message: 'the receiver did not answer within 0.05 s' })
  })

  test('whose secret is not there says where it is missing, and is no never', async () => {
    const error = await webhook({ url: 'http://127.0.0.1:9/', secret: { env: 'NOT_SET_ANYWHERE' } })(message('firing'), never).catch(
      (error: Error) => error,
    )
    expect(error).toMatchObject({ code: 'missing_variable', path: 'alerts.channels.ops.secret' })
  })
})

describe('the console', () => {
  afterEach(() => vi.restoreAllMocks())

  test('writes one line with the text and the event notification', async () => {
    const lines: unknown[] = []
    const fatal = vi.spyOn(log, 'fatal').mockImplementation((...line: unknown[]) => void lines.push(line))
    await bind(channels.get('console')!, { type: 'console' })(message('firing'), never)
    fatal.mockRestore()
    expect(lines).toEqual([[expect.objectContaining({ event: 'notification', state: 'firing', channel: 'ops' }), message('firing').text]])
  })
})

const never = new AbortController().signal
const webhook = (config: object) =>
  bind(channels.get('webhook')!, channelConfig.parse({ type: 'webhook', secret: 'shared-by-both', ...config }))

async function receiver(answer?: Parameters<typeof startSink>[0]['answer']) {
  const sink = await startSink({ secret: 'shared-by-both', answer })
  return Object.assign(sink, { [Symbol.asyncDispose]: () => sink.stop() })
}
