// A row in whatever PostgreSQL says of an error, by a session and by its client programs: the row is not in our words, and the place is.
import { Readable } from 'node:stream'
import type { PgTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { targetUrl } from '@dbops/runtime/connection'
import { freshDatabase } from '@dbops/testing/database'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSession, type ServerSession } from '../src/session.ts'
import { startTool, toolFailed } from '../src/tool.ts'
import { withoutRows } from '../src/without-rows.ts'

const row = 'kim-of-seoul'
let database: Awaited<ReturnType<typeof freshDatabase>>
let session: ServerSession

const tables = `
  CREATE TYPE mood AS ENUM ('calm');
  CREATE TABLE people (name text PRIMARY KEY, age int CHECK (age > 0), born date, mood mood, notes jsonb);
  INSERT INTO people VALUES ('${row}', 7);
  CREATE TABLE pets (owner text REFERENCES people);
  CREATE FUNCTION age_of(name text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('SELECT %L::int', name); RETURN 1; END $$`

beforeAll(async () => {
  database = await freshDatabase()
  const owner = new Client(database.url)
  await owner.connect()
  await owner.query(tables)
  await owner.end()
  session = await openSession(targetUrl('core', { engine: 'pg', url: database.url } as PgTarget), { name: 'dbops:test' })
})
afterAll(async () => {
  await session?.end()
  await database?.drop()
})

/** By the statement; what must still be told, and how a program is given it as COPY where it can be. */
const errors: [statement: string, told: RegExp][] = [
  [`SELECT name::int FROM public.people`, /invalid input syntax for type integer: "…"/],
  [`INSERT INTO public.people VALUES ('${row}')`, /unique constraint "people_pkey"/],
  [`INSERT INTO public.people VALUES ('${row}-2', -1)`, /violates check constraint "people_age_check"/],
  [`INSERT INTO public.pets VALUES ('${row}-3')`, /foreign key constraint "pets_owner_fkey"/],
  [`INSERT INTO public.people (name, mood) VALUES ('x', '${row}')`, /invalid input value for enum (?:public\.)?mood: "…"/],
  [`INSERT INTO public.people (name, notes) VALUES ('x', '{ "${row}": }')`, /invalid input syntax for type json/],
  [`INSERT INTO public.people (name, born) VALUES ('x', '${row}')`, /invalid input syntax for type date: "…"/],
  [`SELECT to_date('${row}', 'YYYY-MM-DD')`, /invalid value "…"/],
  [`SELECT public.age_of(name) FROM public.people`, /invalid input syntax for type integer: "…"/],
  [`SELECT name::int[] FROM public.people`, /malformed array literal: "…"/],
  [`SELECT ('${row}' || E'\\n"' || name)::int FROM public.people`, /invalid input syntax for type integer: "…"/],
]

describe.each(errors)('%s', (statement, told) => {
  test('in a session', async () => {
    const { message } = failureOf(await session.query(statement).catch((error: Error) => error))
    expect([message, message.includes(row)]).toEqual([expect.stringMatching(told), false])
  })

  test('in a program', async () => {
    const { message } = await byProgram(statement)
    expect([message, message.includes(row)]).toEqual([expect.stringMatching(told), false])
  })
})

test.each([
  [`${row}\\t1`, /unique constraint "people_pkey" · CONTEXT: {2}COPY people, line 1$/],
  [`a\\t1\\nb\\t${row}`, /type integer: "…" · CONTEXT: {2}COPY people, line 2, column age$/],
  [`a\\t1\\t${row}`, /extra data after last expected column · CONTEXT: {2}COPY people, line 1$/],
])('a line of a COPY, %s', async (line, told) => {
  const { message } = await byProgram(`COPY people (name, age) FROM stdin;\n${line.replaceAll('\\t', '\t').replaceAll('\\n', '\n')}\n\\.\n`)
  expect([message, message.includes(row)]).toEqual([expect.stringMatching(told), false])
})

test('what is of use at night stays: names, places, hints, the statement without its literals', () => {
  const words = [
    `pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout`,
    `pg_dump: detail: Query was: LOCK TABLE core."Case Files" IN ACCESS SHARE MODE /* ${row} */`,
    `pg_restore: error: could not execute query: ERROR:  relation "core.cases" does not exist`,
    `HINT:  make it first`,
    `Command was: ALTER TABLE core.cases ADD CHECK (who <> '${row}');`,
  ].join('\n')
  expect(withoutRows(words).split('\n')).toEqual([
    'pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout',
    'pg_dump: detail: Query was: LOCK TABLE core."Case Files" IN ACCESS SHARE MODE',
    'pg_restore: error: could not execute query: ERROR:  relation "core.cases" does not exist',
    'HINT:  make it first',
    'Command was: ALTER TABLE core.cases ADD CHECK (who <> ?);',
  ])
})

test('words whose beginning is cut off begin with the next message', () => {
  expect(withoutRows(`f ${row}\nDETAIL:  ${row}\npg_dump: error: it broke`, true)).toBe('pg_dump: error: it broke')
})

async function byProgram(input: string) {
  const { hostname, port, username, password, pathname } = new URL(database.url)
  const env = {
    ...process.env,
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: username,
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: pathname.slice(1),
  }
  const tool = startTool('psql', ['--no-psqlrc', '--quiet', '--set=ON_ERROR_STOP=1', '--output=/dev/null', '--file=-'], env, {
    stdin: Readable.from([Buffer.from(input.startsWith('COPY') ? input : `${input};\n`)]),
  })
  return toolFailed('psql', await tool.done)
}
