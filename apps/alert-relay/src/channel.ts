// The contract of a channel: one file in channels/ that knows how to hand one message over. Retries, order, limits and records are not its business.
import type { Channel as ChannelConfig } from '@dbops/contract/config-file'
import type { Log } from '@dbops/runtime/log'
import type { Message } from './message.ts'

export type ChannelType = ChannelConfig['type']

export interface ChannelContext<C extends ChannelConfig = ChannelConfig> {
  /** As the configuration calls it. */
  name: string
  config: C
  /** Where its entry stands, `alerts.channels.ops`: for opening its secrets, at each delivery, since they change. */
  path: string
  log: Log
}

export interface Channel<T extends ChannelType = ChannelType> {
  type: T
  /**
   * Resolves when the receiver has taken the message. Throws `Permanent` when it never will, `Later` when it said how long to wait (in ms), anything else to be tried
   * again. Ends soon after `signal` aborts. What it throws holds no secret: neither an address nor a token.
   */
  deliver(c: ChannelContext<Extract<ChannelConfig, { type: T }>>, message: Message, signal: AbortSignal): Promise<void>
}

/** Declares a channel; `type` is the file's name and the word in the configuration. */
export const defineChannel = <T extends ChannelType>(channel: Channel<T>): Channel<T> => channel
