// The configuration as it is understood, for people's eyes: defaults filled in, and of a secret only where it comes from.
import { configFile } from '@dbops/contract/config-file'
import { stringify } from 'yaml'
import type { z } from 'zod'
import type { Config } from './config.ts'
import { childSchema, isSecret } from './config-schema.ts'

const masked = '***'
const reference = /\$\{([A-Za-z_][A-Za-z0-9_]{0,200})(:-[^}]{0,1000})?\}/g

/** All that the file says and leaves unsaid, without a secret's value: `${NAME}`, `{ env }` and `{ file }` stay, what stands there in plain is `***`. */
export function rendered({ file: _file, hash: _hash, lineOf: _lineOf, ...config }: Config): Record<string, unknown> {
  return visit(config, configFile) as Record<string, unknown>
}

export const asYaml = (value: unknown): string => stringify(value, { lineWidth: 150, nullStr: '' })

function visit(value: unknown, schema: z.core.$ZodType | undefined): unknown {
  if (isSecret(schema)) return typeof value === 'string' ? withoutValue(value) : value
  if (Array.isArray(value)) return value.map((item, index) => visit(item, childSchema(schema, index, value)))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visit(item, childSchema(schema, key, value))]))
}

/** Of a database's URL everything but the password (no parameter that is read holds a secret); of anything else the names of its variables. */
function withoutValue(text: string): string {
  const url = /^(postgres(?:ql)?|rediss?|bolt(?:\+ssc?)?|neo4j(?:\+ssc?)?):\/\/(.*)$/s.exec(text)
  if (!url) return namesIn(text)
  const [, scheme, rest] = url as unknown as [string, string, string]
  const at = rest.lastIndexOf('@')
  const [login, place] = at < 0 ? ['', rest] : [rest.slice(0, at), rest.slice(at + 1)]
  const colon = login.search(/:(?!-)/)
  const user = colon < 0 ? login : login.slice(0, colon)
  const password = colon < 0 ? '' : `:${namesIn(login.slice(colon + 1))}`
  return `${scheme}://${withoutDefaults(user)}${password}${at < 0 ? '' : '@'}${withoutDefaults(place)}`
}

const withoutDefaults = (text: string) =>
  text.replace(reference, (_, name: string, otherwise?: string) => `\${${name}${otherwise ? `:-${masked}` : ''}}`)

/** The variables in a text, with `***` for all that stands between them. */
function namesIn(text: string): string {
  const parts = [...text.matchAll(reference)]
  const between = text.split(/\$\{[A-Za-z_][A-Za-z0-9_]{0,200}(?::-[^}]{0,1000})?\}/)
  return between.map((plain, i) => (plain ? masked : '') + (parts[i] ? withoutDefaults(parts[i][0]) : '')).join('')
}
