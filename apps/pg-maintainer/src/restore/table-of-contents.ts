// Which entries of a dump are brought back: all but what would act by itself, what cannot be made here, and the rows of views, which are made anew.

/** Would run its jobs from the copy, and against the original at that. */
export const neverRestored = ['pg_cron']
/** Where an extension keeps what pg_dump writes for it. */
const schemasOf: Record<string, string> = { pg_cron: 'cron' }

/** Whether rows that were dumped are of an extension that is left out, and so are not to be looked for. */
export const isLeftOut = ({ schema }: { schema: string }, leftOut: readonly string[]): boolean =>
  leftOut.some(extension => schemasOf[extension] === schema)

/** `; ` begins a comment. `215; 1259 16390 TABLE core users owner`: the type may be of several words. */
const entry = /^\d+; \d+ \d+ (.*)$/

/** Of the lines of `pg_restore --list`: those that are kept, for `--use-list`, and those left out for a reason other than that views are refreshed later. */
export function chooseEntries(lines: readonly string[], leftOut: readonly string[]): { kept: string[]; dropped: string[] } {
  const kept: string[] = []
  const dropped: string[] = []
  for (const line of lines) {
    const what = entry.exec(line)?.[1]
    if (what === undefined || what.startsWith('MATERIALIZED VIEW DATA ')) continue
    if (actsByItself(what) || leftOut.some(extension => belongsTo(what, extension))) dropped.push(what.trimEnd())
    else kept.push(line)
  }
  return { kept, dropped }
}

// A subscription would fetch from its publisher; a user mapping is a password for another server.
const actsByItself = (what: string) => /^(COMMENT - )?(SUBSCRIPTION|USER MAPPING) /.test(what)

function belongsTo(what: string, extension: string): boolean {
  if (what.startsWith(`EXTENSION - ${extension} `) || what.startsWith(`COMMENT - EXTENSION ${extension} `)) return true
  const schema = schemasOf[extension]
  return (
    schema !== undefined && new RegExp(`^(SCHEMA - ${schema} |(ACL|TABLE DATA|SEQUENCE SET) ${schema} |ACL - SCHEMA ${schema} )`).test(what)
  )
}
