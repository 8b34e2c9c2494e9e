// The configuration as it is understood, for people's eyes: defaults and variables filled in, and of a secret only where it comes from.
import { configFile, type Secret } from '@dbops/contract/config-file'
import { Document, isMap, isScalar, isSeq } from 'yaml'
import type { z } from 'zod'
import type { Config } from './config.ts'
import { childSchema, isSecret } from './config-schema.ts'
import { mapVariables } from './config-variables.ts'
import { redact } from './redact.ts'

const masked = '***'

/** All that the file says and leaves unsaid, without a secret's value: `${NAME}`, `{ env }` and `{ file }` stay, what stands there in plain is `***`. */
export function rendered({ file: _file, hash: _hash, lineOf: _lineOf, ...config }: Config): Record<string, unknown> {
  return visit(config, configFile) as Record<string, unknown>
}

function visit(value: unknown, schema: z.core.$ZodType | undefined): unknown {
  if (isSecret(schema)) return withoutValue(value as Secret)
  if (typeof value === 'string') return redact(value)
  if (Array.isArray(value)) return value.map((item, index) => visit(item, childSchema(schema, index, value)))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visit(item, childSchema(schema, key, value))]))
}

/** As YAML that says the same as the file; beside a value that came from variables stands how it was written. `written` is the file before they were filled in. */
export function asYaml(shown: Record<string, unknown>, written: unknown): string {
  const document = new Document(shown)
  nameVariables(document.contents, written, configFile)
  return document.toString({ lineWidth: 150, nullStr: '' })
}

function nameVariables(node: unknown, written: unknown, schema: z.core.$ZodType | undefined): void {
  if (isSecret(schema) || written === null) return
  if (isScalar(node) && typeof written === 'string' && written.includes('${')) node.comment = ` ${redact(written)}`
  if (typeof written !== 'object') return
  const within = written as Record<string, unknown>
  const below = (key: string | number, value: unknown) =>
    Object.hasOwn(within, key) && nameVariables(value, within[key], childSchema(schema, key, written))
  if (isMap(node)) for (const { key, value } of node.items) below(String(isScalar(key) ? key.value : key), value)
  if (isSeq(node)) node.items.forEach((item, index) => below(index, item))
}

/** Where a secret comes from: `${NAME}`, `{ env }` and `{ file }` as they are written, and `***` for a value. */
export const withoutValue = (secret: Secret): Secret => (typeof secret === 'string' ? masking(secret) : secret)

/** Of a database's URL all that helps at night: not its password, and of its parameters those alone that are read. Of anything else the names of its variables. */
function masking(template: string): string {
  const names: string[] = []
  // Each in the place of one sign, so that a colon in a default is none of the URL.
  const text = mapVariables(template.replaceAll('\0', ''), (name, otherwise) => {
    names.push(`\${${name}${otherwise === undefined ? '' : `:-${masked}`}}`)
    return '\0'
  })
  let next = 0
  return withoutPassword(text).replaceAll('\0', () => names[next++]!)
}

const databaseUrl = /^((?:postgres(?:ql)?|rediss?|bolt(?:\+ssc?)?|neo4j(?:\+ssc?)?):\/\/)(?:(.*)@)?([^?#]*)(.*)$/is

function withoutPassword(text: string): string {
  const url = databaseUrl.exec(text)
  if (!url) return hidden(text)
  const [, scheme, login, place, rest] = url as unknown as [string, string, string | undefined, string, string]
  const parameters = rest.replace(/[^?&]+/g, one => (/^(sslmode|host)=[\w\0./,-]*$/.test(one) ? one : hidden(one)))
  return `${scheme}${login === undefined ? '' : `${login.replace(/:.*/s, password => `:${hidden(password.slice(1))}`)}@`}${place}${parameters}`
}

/** `***` in place of all that is no variable. */
const hidden = (text: string) => text.replace(/[^\0]+/g, masked)
