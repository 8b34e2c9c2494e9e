// The roles and tablespaces of the server, as pg_dumpall writes them: whether its text is whole.

/** pg_dumpall writes it when all else is written, whatever its language. */
const trailer = '-- PostgreSQL database cluster dump complete'

/**
 * True where its trailer is there, and nothing but blank lines, comments and commands to psql (`\unrestrict` of newer minors) after it. The
 * exit code of pg_dumpall does not tell: what is lost between it and the store is lost after it succeeded.
 */
export function isWhole(globals: string): boolean {
  const lines = globals.split('\n').map(line => line.trimEnd())
  const end = lines.lastIndexOf(trailer)
  return end >= 0 && lines.slice(end).every(line => line === '' || line.startsWith('--') || line.startsWith('\\'))
}
