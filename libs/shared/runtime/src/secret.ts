// Opens a secret of the configuration, when its owner needs it and not before.
import { readFileSync, statSync } from 'node:fs'
import type { Secret } from '@dbops/contract/config-file'
import { Problem } from '@dbops/contract/failure'
import { type Environment, expand } from './config-variables.ts'
import { registerSecret } from './redact.ts'

/** A secret that cannot be opened, or that holds what cannot be used there. Names its place and source, never its value. */
export class SecretProblem extends Problem {
  readonly path: string
  /** The message without the path. */
  readonly fault: string
  constructor(path: string, fault: string, told: { code: string; hint: string }) {
    super(`${path}: ${fault}`, told)
    this.path = path
    this.fault = fault
  }
}

/** A certificate bundle is the longest secret there is; anything larger is another file. */
const largestFile = 1024 * 1024

/**
 * The value of the secret at `path` of the configuration. From now on `redact` knows it. Throws a SecretProblem with the code
 * `missing_variable` (a variable that is not set, or empty) or `missing_secret_file` (no file, unreadable, empty).
 */
export function openSecret(secret: Secret, path: string, env: Environment = process.env): string {
  const value = valueOf(secret, path, env)
  registerSecret(value)
  return value
}

function valueOf(secret: Secret, path: string, env: Environment): string {
  if (typeof secret === 'string') return filled(secret, path, env)
  if ('env' in secret) return env[secret.env] || missingVariable(secret.env, path)
  return contentOf(filled(secret.file, path, env), path)
}

function filled(template: string, path: string, env: Environment): string {
  const { text, missing } = expand(template, env)
  return missing[0] === undefined ? text : missingVariable(missing[0], path)
}

function missingVariable(name: string, path: string): never {
  throw new SecretProblem(path, `the environment variable ${name} is not set`, {
    code: 'missing_variable',
    hint: `set ${name} where this service runs`,
  })
}

/** The file's text without the line end that editors and `echo` leave behind. */
function contentOf(file: string, path: string): string {
  const refuse = (what: string, hint: string): never => {
    throw new SecretProblem(path, `the secret file ${file} ${what}`, { code: 'missing_secret_file', hint })
  }
  try {
    if (statSync(file).size > largestFile) return refuse('is larger than 1 MiB', 'name a file that holds the secret alone')
    const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    return text || refuse('is empty', 'write the secret into it')
  } catch (error) {
    if (error instanceof SecretProblem) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return refuse('does not exist', 'mount it where this service runs, or correct the path')
    if (code === 'EACCES') return refuse('may not be read', 'let the user of this service read it')
    return refuse(`cannot be read (${code})`, 'name a plain file')
  }
}
