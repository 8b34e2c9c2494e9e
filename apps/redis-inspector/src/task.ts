// What a Redis task and probe may touch: commands of one direct session, named after the attempt and ended with it.
import { probeOf, taskOf } from '@dbops/contract/task'

export interface Commands {
  /** Of this attempt's session, as CLIENT LIST shows it: `dbops:<installation>:<fence>:<task>`. */
  readonly name: string
  /** One command, answered within 5 s. Throws what the server says, or `connection_lost`. */
  command<Answer>(name: string, ...args: (string | number)[]): Promise<Answer>
  /** The same; what the server says in bytes comes as Buffers. */
  bytes<Answer>(name: string, ...args: (string | number)[]): Promise<Answer>
  /** INFO, all default sections at once, so that its numbers belong to one moment. */
  info(): Promise<Info>
}

/** The fields of INFO by their names: `used_memory`, `role`, … */
export type Info = ReadonlyMap<string, string>

export interface RedisVerbs {
  redis: Commands
}

export const defineTask = taskOf<RedisVerbs>()
export const defineProbe = probeOf<RedisVerbs>()
