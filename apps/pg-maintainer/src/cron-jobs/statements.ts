// What a job of pg_cron does, as far as its text says it plainly: its statements, each with verb and tables.
export interface JobStatement {
  verb: 'delete' | 'truncate' | 'vacuum' | 'analyze' | 'refresh' | 'other'
  /** As written: with or without a schema. */
  tables: string[]
  verbose: boolean
}

/** The statements of a command. A semicolon in quotes, a dollar quote or a comment ends none. */
export function splitStatements(command: string): string[] {
  const parts =
    command.match(/'(?:[^']|'')*'|"(?:[^"]|"")*"|\$([A-Za-z_]*)\$[\s\S]*?\$\1\$|--[^\n]*|\/\*[\s\S]*?\*\/|;|[^'"$;/-]+|[\s\S]/g) ?? []
  const statements = ['']
  for (const part of parts) {
    if (part === ';') statements.push('')
    else if (part.startsWith('--') || part.startsWith('/*')) statements[statements.length - 1] += ' '
    else statements[statements.length - 1] += part
  }
  return statements.map(statement => statement.trim()).filter(Boolean)
}

const name = String.raw`(?:"(?:[^"]|"")+"|[\w$]+)(?:\s*\.\s*(?:"(?:[^"]|"")+"|[\w$]+))?`
const patterns = {
  delete: new RegExp(String.raw`^(?:WITH\b[\s\S]*?\b)?DELETE\s+FROM\s+(?:ONLY\s+)?(${name})`, 'i'),
  truncate: new RegExp(String.raw`^TRUNCATE\s+(?:TABLE\s+)?(?:ONLY\s+)?((?:${name}\s*,?\s*)+)`, 'i'),
  refresh: new RegExp(String.raw`^REFRESH\s+MATERIALIZED\s+VIEW\s+(?:CONCURRENTLY\s+)?(${name})`, 'i'),
  vacuum: new RegExp(String.raw`^VACUUM\s*(?:\([^)]*\)\s*|(?:FULL|FREEZE|VERBOSE|ANALYZE)\b\s*)*((?:${name}\s*,?\s*)*)`, 'i'),
  analyze: new RegExp(String.raw`^ANALY[ZS]E\s*(?:\([^)]*\)\s*|VERBOSE\b\s*)*((?:${name}\s*,?\s*)*)`, 'i'),
} as const

export function parseStatement(statement: string): JobStatement {
  const verbose = /^(VACUUM|ANALY[ZS]E)\b[^"']*\bVERBOSE\b/i.test(statement)
  for (const verb of Object.keys(patterns) as (keyof typeof patterns)[]) {
    const found = patterns[verb].exec(statement)
    if (found) return { verb, tables: found[1]!.match(new RegExp(name, 'g'))?.map(unspaced) ?? [], verbose }
  }
  return { verb: 'other', tables: [], verbose: false }
}

const unspaced = (table: string) => table.replace(/\s*\.\s*/, '.')
