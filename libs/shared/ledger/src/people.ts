// People in the ledger: each with a login role of its own, all of them members of one group that reads everything, asks for things and writes nothing else
// (migration 0006). So who asked and who approved is what the server knows of the session, and no word of the asker's.
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { escapeIdentifier, escapeLiteral } from 'pg'
import type { Queryable } from './ledger.ts'

export interface Login {
  /** The role of this session. */
  role: string
  /** Whether it may write the ledger, as the services do. A person's may not. */
  owns: boolean
}
const whoIsThis = `select session_user::text as role, has_table_privilege('dbops.runs', 'update') as owns`
/** Who this session is. */
export const loginOf = async (db: Queryable): Promise<Login> => (await db.query<Login>(whoIsThis)).rows[0]!

const mayWrite = `select coalesce((select has_table_privilege(oid, 'dbops.runs', 'update') from pg_roles where rolname = $1), true) as owns`
/** Whether this role may write the ledger, and so under any name; also said of one that is no more, of which nothing is known. */
export const ownsLedger = async (db: Queryable, role: string): Promise<boolean> =>
  (await db.query<{ owns: boolean }>(mayWrite, [role])).rows[0]!.owns

const groupOfThis = `select rolname as name from pg_roles where rolname = left(current_database(), 56) || '_people'`
const membersOf = `
  select m.rolname as name from pg_auth_members a join pg_roles m on m.oid = a.member join pg_roles g on g.oid = a.roleid
  where g.rolname = $1 order by m.rolname`

/** The group of this ledger's people and who is in it; undefined where the role that migrated was not allowed to make it. */
export async function peopleOf(db: Queryable): Promise<{ group: string; members: string[] } | undefined> {
  const { rows } = await db.query<{ name: string }>(groupOfThis)
  if (!rows[0]) return undefined
  const group = rows[0].name
  return { group, members: (await db.query<{ name: string }>(membersOf, [group])).rows.map(({ name }) => name) }
}

/** Makes the login of a person, or gives the one of that name this password. Wants CREATEROLE; false where there is no group of people. */
export async function savePerson(db: Queryable, name: string, password: string): Promise<boolean> {
  const people = await peopleOf(db)
  if (!people) return false
  await saveLogin(db, name, password, people.members.includes(name) ? [] : [people.group])
  return true
}

/** Makes a login, or gives the one of that name this password; a member of these groups. Wants CREATEROLE. */
export async function saveLogin(db: Queryable, name: string, password: string, groups: string[], attributes = ''): Promise<void> {
  const role = escapeIdentifier(name)
  const { rows } = await db.query('select from pg_roles where rolname = $1', [name])
  await db.query(`${rows.length ? 'alter' : 'create'} role ${role} login ${attributes} password ${escapeLiteral(scramVerifier(password))}`)
  for (const group of groups) await db.query(`grant ${escapeIdentifier(group)} to ${role}`)
}

/** What the server keeps of a password of ASCII (RFC 5803): sent in its place, the password stands in no log and in no statistics of statements. */
function scramVerifier(password: string): string {
  const [salt, iterations] = [randomBytes(16), 4_096]
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256')
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest()
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64')
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${hmac('Server Key').toString('base64')}`
}
