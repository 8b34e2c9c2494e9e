// Logins of people, in ledgers whose owner may make roles and in one whose owner may not, as on some managed servers.
import { randomBytes } from 'node:crypto'
import { type FreshDatabase, freshDatabase } from '@dbops/testing/database'
import { Client, escapeIdentifier } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ledger, openLedger } from '../src/ledger.ts'
import { loginOf, peopleOf, savePerson } from '../src/people.ts'

/** Roles are of the whole server: names of this file's own. */
const tag = randomBytes(4).toString('hex')
const [owner, ada, ben] = [`owner_${tag}`, `ada_${tag}`, `ben_${tag}`]
const databases: FreshDatabase[] = []
const ledgers: Ledger[] = []
let admin: Client

beforeAll(async () => {
  const database = await freshDatabase()
  databases.push(database)
  admin = new Client({ connectionString: database.url })
  await admin.connect()
})
afterAll(async () => {
  for (const ledger of ledgers) await ledger.close()
  await admin.end()
  // Their rights go with the databases, the roles after them.
  for (const { drop } of databases.slice(1)) await drop()
  const rest = new Client({ connectionString: databases[0]!.url })
  await rest.connect()
  for (const role of [owner, ada, ben]) await rest.query(`DROP ROLE IF EXISTS ${role}`)
  await rest.end()
  await databases[0]!.drop()
})

test('a person of one ledger is nobody in another on the same server', async () => {
  const [mine, other] = [await fresh(), await fresh()]
  await savePerson(mine.ledger, ada, 'secret')
  const there = openLedger({ url: as(other, ada), name: 'test', migrations: 'expect' })
  await expect(there).rejects.toMatchObject({ code: '42501' })
  const here = await openLedger({ url: as(mine, ada), name: 'test', sessions: 1, migrations: 'expect' })
  ledgers.push(here)
  expect([await loginOf(here), await loginOf(mine.ledger), await peopleOf(mine.ledger)]).toEqual([
    { role: ada, owns: false },
    { role: 'postgres', owns: true },
    { group: `${mine.database.name}_people`, members: [ada] },
  ])
})

test('a person that is saved again gets the new password', async () => {
  const place = await fresh()
  await savePerson(place.ledger, ada, 'first')
  await savePerson(place.ledger, ada, 'second')
  const login = (password: string) => openLedger({ url: as(place, ada, password), name: 'test', sessions: 1, migrations: 'expect' })
  await expect(login('first')).rejects.toMatchObject({ code: '28P01' })
  ledgers.push(await login('second'))
})

test('an owner that may not make roles has a ledger without people, until an administrator makes their group', async () => {
  await admin.query(`CREATE ROLE ${owner} LOGIN PASSWORD 'secret'`)
  const place = await fresh(owner)
  const before = [await peopleOf(place.ledger), await savePerson(place.ledger, ben, 'secret'), await loginOf(place.ledger)]
  const group = `${place.database.name}_people`
  await admin.query(`CREATE ROLE ${escapeIdentifier(group)}; CREATE ROLE ${ben} LOGIN PASSWORD 'secret' IN ROLE ${escapeIdentifier(group)}`)
  await place.ledger.query('select dbops.grant_people()')
  const person = await openLedger({ url: as(place, ben), name: 'test', sessions: 1, migrations: 'expect' })
  ledgers.push(person)
  await person.query(`insert into commands (id, verb, body) values (gen_random_uuid(), 'run', '{}')`)
  const { rows } = await place.ledger.query('select actor, role from commands')
  expect([before, await peopleOf(place.ledger), rows]).toEqual([
    [undefined, false, { role: owner, owns: true }],
    { group, members: [ben] },
    [{ actor: ben, role: ben }],
  ])
})

interface Place {
  database: FreshDatabase
  ledger: Ledger
}
/** A migrated ledger, of a superuser or of `owner`. */
async function fresh(ownedBy?: string): Promise<Place> {
  const database = await freshDatabase()
  databases.push(database)
  if (ownedBy) await admin.query(`ALTER DATABASE ${database.name} OWNER TO ${ownedBy}`)
  const ledger = await openLedger({ url: ownedBy ? as({ database }, ownedBy) : database.url, name: 'test', sessions: 2 })
  ledgers.push(ledger)
  return { database, ledger }
}
function as({ database }: Pick<Place, 'database'>, role: string, password = 'secret'): string {
  const url = new URL(database.url)
  Object.assign(url, { username: role, password })
  return url.href
}
