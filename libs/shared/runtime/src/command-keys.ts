// The secrets with which other services sign commands.
import type { ConfigFile, Secret } from '@dbops/contract/config-file'
import type { Environment } from './config-variables.ts'
import { openSecret, SecretProblem } from './secret.ts'

/** Shorter ones can be guessed (RFC 2104 wants at least the length of the hash for HMAC-SHA256: 32 bytes, 43 characters of base64). */
const shortest = 32

/** By name. Throws a SecretProblem for one that cannot be opened or is too short. */
export const openCommandKeys = ({ commands }: Pick<ConfigFile, 'commands'>, env: Environment = process.env): Map<string, string> =>
  new Map(Object.entries(commands.keys).map(([name, secret]) => [name, openCommandKey(name, secret, env)]))

export function openCommandKey(name: string, secret: Secret, env: Environment): string {
  const path = `commands.keys.${name}`
  const value = openSecret(secret, path, env)
  if (value.length >= shortest) return value
  throw new SecretProblem(path, `is shorter than ${shortest} characters`, { code: 'weak_key', hint: 'make one: openssl rand -hex 32' })
}
