// What answers is the copy in the scratch server, and nothing else: above all not the original.
import type { Check, Copy } from '../restore/check.ts'
import { majorOf } from '../restore/dump-manifest.ts'

const whoAnswers = `
  SELECT pg_is_in_recovery() AS recovering, current_setting('data_directory') AS data, current_setting('listen_addresses') AS listens,
         system_identifier::text AS "systemIdentifier", current_setting('server_version_num')::int / 10000 AS major,
         pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype
    FROM pg_control_system(), pg_database
   WHERE datname = current_database()`

interface Answer {
  recovering: boolean
  data: string
  listens: string
  systemIdentifier: string
  major: number
  encoding: string
  collate: string
  ctype: string
}

export const opened: Check = {
  name: 'opened',
  about: 'the copy is open, in the scratch server and made like the original',
  level: 'database',
  check: look,
  async control(copy) {
    const [{ systemIdentifier }] = (await copy.pg.query<Answer>(whoAnswers)) as [Answer]
    return look({ ...copy, manifest: { ...copy.manifest, server: { ...copy.manifest.server, systemIdentifier } } })
  },
}

async function look({ pg, server, manifest: { server: was } }: Copy): Promise<string[]> {
  const [is] = (await pg.query<Answer>(whoAnswers)) as [Answer]
  return [
    is.recovering && 'the server is still recovering',
    is.systemIdentifier === was.systemIdentifier && `the server is the original itself (system identifier ${is.systemIdentifier})`,
    is.data !== server.data && `the server's folder is ${is.data}, not the scratch one`,
    is.listens !== '' && `the server listens on ${is.listens}: a copy of production data must not`,
    is.major < majorOf(was.version) && `the server is PostgreSQL ${is.major}, older than the original's ${was.version}`,
    ...(['encoding', 'collate', 'ctype'] as const).map(part => is[part] !== was[part] && `its ${part} is ${is[part]}, not ${was[part]}`),
  ].filter(fault => fault !== false)
}
