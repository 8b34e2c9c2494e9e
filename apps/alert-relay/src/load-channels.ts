// Finds the channels by folder alone: a file in channels/ is a channel, its name is the type.
import { readdirSync } from 'node:fs'
import type { Channel, ChannelType } from './channel.ts'

const folder = new URL('./channels/', import.meta.url)

/** Every channel by its type. Throws when a file declares another type than its name says. */
export async function loadChannels(): Promise<Map<ChannelType, Channel>> {
  const files = readdirSync(folder).filter(file => file.endsWith('.ts'))
  const channels = await Promise.all(
    files.map(async file => {
      const { default: channel } = (await import(new URL(file, folder).href)) as { default?: Channel }
      if (`${channel?.type}.ts` !== file)
        throw new Error(
          `channels/${file} declares the type "${channel?.type}": the file's name is the type, and the channel its default export`,
        )
      return channel!
    }),
  )
  return new Map(channels.map(channel => [channel.type, channel]))
}
