// Names of tables as people write them and as the catalogue has them: `core.users`, and `"Weird Schema"."My.Table"` where a name has a dot, a space or a quote in it.
import { tablePattern } from '@dbops/contract/names'
import { escapeIdentifier } from 'pg'

export interface TableName {
  schema: string
  name: string
}

/** The two names, spelled as the catalogue spells them (nothing is folded to lower case). Undefined for what is no name of a table. */
export function parseTable(text: string): TableName | undefined {
  const [, schema, name] = tablePattern.exec(text) ?? []
  return schema && name ? { schema: unquoted(schema), name: unquoted(name) } : undefined
}

const unquoted = (part: string) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part)

/** For people, and readable by `parseTable`. */
export const showTable = ({ schema, name }: TableName) => `${shown(schema)}.${shown(name)}`

const shown = (part: string) => (/^[^."\s]+$/.test(part) ? part : escapeIdentifier(part))

/** For a statement. */
export const quoteTable = ({ schema, name }: TableName) => `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`
