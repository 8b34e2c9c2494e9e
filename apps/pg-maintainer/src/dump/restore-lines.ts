// The lines of shell that bring a dump back without this system: they stand in its manifest and run in its folder.
import { quoteTable } from '../table-name.ts'
import type { DatabaseShape } from './surroundings.ts'
import type { ViewPlan } from './views.ts'

export const dumpFile = 'dump.pgdump'
export const globalsFile = 'globals.sql'

/**
 * As a superuser of an empty server, led there by PGHOST and the like. `DB` may be set to restore beside the original. The roles come without
 * passwords. No statistics are dumped, hence ANALYZE; views whose rows below are not in the dump are not refreshed, since they would lie.
 * All stand in one subshell: pasted into a terminal they stop at the first that fails with its status, and the terminal lives on.
 * Before anything is made, the files are looked at. No line is a comment: an interactive zsh would take it for a command.
 */
export function restoreLines(database: string, shape: DatabaseShape, extensions: { name: string }[], views: ViewPlan[]): string[] {
  const psql = 'psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$DB"'
  const hasCron = extensions.some(({ name }) => name === 'pg_cron')
  return [
    '( set -e',
    `test -s ${dumpFile} && test -s ${globalsFile} || { echo '${dumpFile} and ${globalsFile} are not here: run this in the folder of the backup' >&2; exit 1; }`,
    `pg_restore --list ${dumpFile} > /dev/null`,
    `DB=\${DB:-${quoted(database)}}`,
    // Before the roles: where the database exists already, nothing at all is touched.
    `createdb --template=template0 --encoding=${quoted(shape.encoding)} ${locale(shape)} "$DB"`,
    `echo 'Roles that are there already are reported as errors, and kept.'`,
    `psql --no-psqlrc --quiet --dbname=postgres --file=${globalsFile}`,
    // pg_cron can only live in one database of a server, and would run its jobs from the copy.
    ...(hasCron
      ? [
          `contents=$(pg_restore --list ${dumpFile})`,
          // A pipe would hide that its first half failed.
          `printf '%s\\n' "$contents" | grep -Ev ' (EXTENSION - |EXTENSION )pg_cron| (- SCHEMA|ACL|TABLE DATA|SEQUENCE SET) cron ' > without-pg_cron.list`,
        ]
      : []),
    `pg_restore --exit-on-error${hasCron ? ' --use-list=without-pg_cron.list' : ''}${shape.hasTablespaces ? ' --no-tablespaces' : ''} --dbname="$DB" ${dumpFile}`,
    `${psql} --command='ANALYZE'`,
    ...views
      .filter(({ populated, restorable }) => populated && restorable)
      .map(({ view }) => `${psql} --command=${quoted(`REFRESH MATERIALIZED VIEW ${quoteTable(view)}`)}`),
    'echo "$DB is restored." )',
  ]
}

function locale({ collate, ctype, provider, locale: name }: DatabaseShape): string {
  const libc = `--lc-collate=${quoted(collate)} --lc-ctype=${quoted(ctype)}`
  if (provider === 'i' && name) return `--locale-provider=icu --icu-locale=${quoted(name)} ${libc}`
  if (provider === 'b' && name) return `--locale-provider=builtin --builtin-locale=${quoted(name)} ${libc}`
  return libc
}

/** For a POSIX shell: nothing in single quotes means anything but the quote itself. */
const quoted = (text: string) => (/^[A-Za-z0-9_.-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
