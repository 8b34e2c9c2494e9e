// The users of the Redis servers that `up` starts: those of deploy/redis/, with new passwords at every start, which are kept nowhere but in the server's own file.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomPassword } from '@dbops/servers/kept'
import { root } from '../home.ts'

export interface RedisUsers {
  /** As `startRedis` takes them. */
  users: string[][]
  /** The URL of the server as one of them. */
  as(url: string, name: string): string
}

/** Those of the file that are named. */
export function redisUsers(file: 'operations.acl' | 'platform.acl', names: readonly string[]): RedisUsers {
  const passwords = new Map(names.map(name => [name, randomPassword()]))
  const users = readFileSync(join(root, 'deploy/redis', file), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('user '))
    .map(line => line.split(' ').slice(1))
    .filter(([name]) => passwords.has(name!))
    .map(words => words.map(word => (word === '>CHANGE-ME' ? `>${passwords.get(words[0]!)}` : word)))
  return { users, as: (url, username) => Object.assign(new URL(url), { username, password: passwords.get(username) }).href }
}
