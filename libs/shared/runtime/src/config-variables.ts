// `${NAME}`, `${NAME:-default}` and `$${` in the scalars of the configuration, filled in after the YAML is parsed, never pasted into its text.
import type { z } from 'zod'
import type { Found, Path } from './config-problem.ts'
import { bare, childSchema, isSecret } from './config-schema.ts'

export type Environment = Record<string, string | undefined>

// Names and defaults are bounded, so that a hostile text costs no more than its length.
const variable = /\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]{0,200})(?::-([^}]{0,1000}))?\}|(\$\{)/g

/** The text with `of` in place of each of its variables, and `${` in place of `$${`. */
export const mapVariables = (text: string, of: (name: string, otherwise: string | undefined) => string): string =>
  text.replace(variable, (whole, plain?: string, name?: string, otherwise?: string) => plain ?? (name ? of(name, otherwise) : whole))

/**
 * The text with its variables filled in. A variable that is not set, or set to nothing, takes its default; `missing` names those that have none
 * (an empty password or URL is never what was meant).
 */
export function expand(text: string, env: Environment): { text: string; missing: string[] } {
  const missing: string[] = []
  const filled = mapVariables(text, (name, otherwise) => {
    const value = env[name] || otherwise
    if (value === undefined) missing.push(name)
    return value ?? ''
  })
  return { text: filled, missing }
}

/** Whether a `${` in the text begins no variable. */
export const brokenVariable = (text: string): boolean => [...text.matchAll(variable)].some(match => match[4] !== undefined)

/**
 * The value with the variables of its common scalars filled in, by the schema: what is marked `x-secret` stays as written. Text that stands
 * where the schema wants a number or a yes/no becomes one.
 */
export function fillIn(
  value: unknown,
  schema: z.core.$ZodType | undefined,
  env: Environment,
  path: Path = [],
): { value: unknown; found: Found[] } {
  const found: Found[] = []
  const visit = (value: unknown, schema: z.core.$ZodType | undefined, path: Path): unknown => {
    if (Array.isArray(value)) return value.map((item, index) => visit(item, childSchema(schema, index, value), [...path, index]))
    if (typeof value === 'object' && value !== null) {
      const secret = isSecret(schema)
      const visited = Object.entries(value).map(([key, item]) => [
        key,
        visit(item, secret ? schema : childSchema(schema, key, value as Record<string, unknown>), [...path, key]),
      ])
      return Object.fromEntries(visited)
    }
    if (typeof value !== 'string' || !value.includes('${')) return value
    if (brokenVariable(value)) {
      found.push({ path, message: '"${" begins no variable', hint: 'write ${NAME} or ${NAME:-default}; a plain "${" is written "$${"' })
      return value
    }
    // A key that no schema knows is told as such, and its variables are nobody's.
    if (isSecret(schema) || !schema) return value
    const { text, missing } = expand(value, env)
    for (const name of missing) found.push(missingVariable(path, name))
    return missing.length ? value : typed(text, schema)
  }
  return { value: visit(value, schema, path), found }
}

const missingVariable = (path: Path, name: string): Found => ({
  path,
  message: `the environment variable ${name} is not set`,
  hint: `set ${name}, or give a default: \${${name}:-…}`,
})

function typed(text: string, schema: z.core.$ZodType | undefined): unknown {
  const type = schema && bare(schema)._zod.def.type
  if (type === 'number' && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text)
  if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true'
  return text
}
