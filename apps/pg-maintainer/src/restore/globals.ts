// Brings the roles back, before anything that belongs to them. Their passwords are not in the backup, and the tablespaces stay where they are.
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { toolFailed } from '../tool.ts'
import type { Scratch } from './scratch.ts'

/**
 * Resolves with what the server refused, each in its own words. The scratch server's only role has a name of its own, so that every role of
 * the file can be made here as it was, the original's superuser too.
 */
export async function restoreGlobals(scratch: Scratch, file: string): Promise<string[]> {
  const text = withoutPlaces(await readFile(file, 'utf8'))
  const psql = await scratch.tool('psql', ['--no-psqlrc', '--quiet', '--no-password', '--output=/dev/null', '--file=-'], {
    stdin: Readable.from([Buffer.from(text)]),
  })
  const end = await psql.done
  if (end.code !== 0) throw toolFailed('psql', end)
  return end.stderr
    .split('\n')
    .map(line => /ERROR: {2}(.*)$/.exec(line)?.[1])
    .filter(error => error !== undefined)
}

// A tablespace would be made outside the scratch folder, where the original's may be; who granted a membership may be nobody who could here.
export const withoutPlaces = (globals: string): string =>
  globals
    .split('\n')
    .filter(line => !/^(CREATE|ALTER|COMMENT ON) TABLESPACE |^(GRANT|REVOKE) .* ON TABLESPACE /.test(line))
    .map(line => line.replace(/^(GRANT .*) GRANTED BY .*;$/, '$1;'))
    .join('\n')
