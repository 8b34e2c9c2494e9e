// Names of tables as people write them and as the catalogue has them: `core.users`, and `"Weird Schema"."My.Table"` where a name has a dot, a space or a quote in it.
import { escapeIdentifier } from 'pg'
import { z } from 'zod'

export interface TableName {
  schema: string
  name: string
}

const pattern = /^("(?:[^"]|"")+"|[^."\s]+)\.("(?:[^"]|"")+"|[^."\s]+)$/

export const tableName = z
  .string()
  .regex(pattern, 'is no table')
  .meta({
    'x-hint': 'write schema.table, as the catalogue spells it; quote a name that has a dot or a space: "My Table"',
    examples: ['core.event_outbox'],
  })

/** The two names, spelled as the catalogue spells them (nothing is folded to lower case). Undefined for what is no name of a table. */
export function parseTable(text: string): TableName | undefined {
  const [, schema, name] = pattern.exec(text) ?? []
  return schema && name ? { schema: unquoted(schema), name: unquoted(name) } : undefined
}

const unquoted = (part: string) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part)

/** For people, and readable by `parseTable`. */
export const showTable = ({ schema, name }: TableName) => `${shown(schema)}.${shown(name)}`

const shown = (part: string) => (/^[^."\s]+$/.test(part) ? part : escapeIdentifier(part))

/** For a statement. */
export const quoteTable = ({ schema, name }: TableName) => `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
