// A run that another person approves, from its birth to its queue or its end, with real logins in a real ledger.
import { randomBytes } from 'node:crypto'

import { type Answer, ask, takeUp } from '@dbops/ledger/commands'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { loginOf, savePerson } from '@dbops/ledger/people'
import * as runs from '@dbops/ledger/runs'
import { saveTargets } from '@dbops/ledger/schedules'
import { readConfig } from '@dbops/runtime/config'
import { carryOut } from '@dbops/runtime/deeds'
import { openLog } from '@dbops/runtime/log'
import { judge, questionOf } from '@dbops/runtime/policy'
import { tellerOf } from '@dbops/runtime/run-events'
import { freshDatabase } from '@dbops/testing/database'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { offerPlans } from '../src/approvals.ts'
import { act } from '../src/commands.ts'
import { endOverdue } from '../src/reap.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
/** Roles are of the whole server: names of this file's own. */
const tag = randomBytes(4).toString('hex')
const [asker, approver] = [`asker_${tag}`, `approver_${tag}`]
const people = new Map<string, Ledger>()
beforeAll(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 6 })
  await saveTargets(ledger, [{ name: 'core', engine: 'pg', heavy: 2, light: 4, labels: {} }])
  for (const name of [asker, approver]) {
    await savePerson(ledger, name, 'secret')
    const url = new URL(database.url)
    Object.assign(url, { username: name, password: 'secret' })
    people.set(name, await openLedger({ url: url.href, name, sessions: 1, migrations: 'expect' }))
  }
})
afterEach(() => ledger.query('truncate runs, run_locks, history, commands, audit, outbox cascade'))
afterAll(async () => {
  for (const one of people.values()) await one.close()
  await ledger.query(`drop role ${asker}, ${approver}`)
  await ledger.close()
  await database.drop()
})

describe('a run that wants approval', () => {
  test('is born waiting and wants no lock, with a plan beside it that is queued', async () => {
    const id = await asked()
    const { rows: locks } = await ledger.query('select from run_locks')
    const [run, plan] = [await found(id), await planOf(id)]
    expect([run.state, plan.state, plan.mode, plan.parent, locks, hoursUntil(run.validUntil)]).toEqual([
      'awaiting_approval',
      'queued',
      'plan',
      id,
      [],
      24,
    ])
  })

  test('is never dispatched while it waits, and its plan is', async () => {
    const id = await asked()
    const sent = await ledger.transaction(db => runs.dispatch(db, 200, () => ({ verdict: 'allow' })))
    expect(sent!.sent.map(run => run.id)).toEqual([(await planOf(id)).id])
  })

  test('shows its plan when that is there, and tells once who is to look at it', async () => {
    const id = await asked()
    await plans(id)
    await ledger.transaction(db => offerPlans(db, service()))
    const { rows } = await ledger.query<{ ce: { data: object } }>(`select ce from outbox where event = 'approval_wanted'`)
    expect([(await found(id)).plan, rows.map(({ ce }) => ce.data)]).toMatchObject([
      plan,
      [{ state: 'awaiting_approval', result: { askedBy: asker, approve: `./dbops approve ${id.slice(-8)}` } }],
    ])
  })

  test('whose plan is refused is refused for the same reason', async () => {
    const id = await asked()
    await endPlan(id, 'refused', { code: 'not_owner', message: 'the role may not', hint: 'GRANT x TO y' })
    const run = await found(id)
    expect([run.state, run.error, await events()]).toEqual([
      'refused',
      { code: 'not_owner', message: 'its plan was refused: the role may not', hint: 'GRANT x TO y' },
      ['run_refused'],
    ])
  })

  test('whose plan was cancelled is refused', async () => {
    const id = await asked()
    const one = await planOf(id)
    await ledger.transaction(db => runs.endWaiting(db, one, 'cancelled', { code: 'cancelled', message: 'cancelled by ada' }, []))
    await ledger.transaction(db => offerPlans(db, service()))
    expect((await found(id)).error?.message).toBe('its plan is cancelled: cancelled by ada')
  })

  test('approved by another person it is queued, wants its locks, has its deadline from now on, and stands in the audit', async () => {
    const id = await asked()
    const digest = await plans(id)
    const answer = await approve(id, digest, approver, { reason: 'change 4711' })
    const run = await found(id)
    const { rows: locks } = await ledger.query(`select name, exclusive, held from run_locks where run = $1 order by name`, [id])
    const { rows: audit } = await ledger.query(
      `select actor, action, subject, detail ->> 'digest' as digest, detail ->> 'reason' as reason from audit`,
    )
    expect([answer, run.state, run.approval, run.policy?.['verdict'], locks, audit, hoursUntil(run.validUntil)]).toMatchObject([
      { ok: true },
      'queued',
      { digest, by: approver, reason: 'change 4711' },
      'allow',
      [
        { name: 'target', exclusive: false, held: false },
        { name: 'vacuum', exclusive: true, held: false },
      ],
      [{ actor: approver, action: 'approve', subject: id, digest, reason: 'change 4711' }],
      24,
    ])
  })

  test('approved twice it is queued once', async () => {
    const id = await asked()
    const digest = await plans(id)
    const answers = [await approve(id, digest), await approve(id, digest)]
    expect([answers, await events()]).toMatchObject([
      [{ ok: true }, { ok: false, error: { code: 'refused_not_awaiting' } }],
      ['approval_wanted', 'approval_ended'],
    ])
  })

  test.each([
    ['by its asker', async (id: string, digest: string) => approve(id, digest, asker), 'refused_same_actor', '--as NAME'],
    ['under the login of the services', async (id: string, digest: string) => approve(id, digest, null), 'refused_no_person', '--as NAME'],
    [
      'under the login of the services by its own name',
      async (id: string, digest: string) => approve(id, digest, await servicesRole()),
      'refused_no_person',
      '--as NAME',
    ],
    ['for another plan', async (id: string) => approve(id, '0000000000000000'), 'refused_other_plan', 'look at the plan again'],
  ])('is not approved %s', async (_, answer, code, hint) => {
    const id = await asked()
    const digest = await plans(id)
    const given = await answer(id, digest)
    expect([given, (await found(id)).state]).toMatchObject([
      { ok: false, error: { code, hint: expect.stringContaining(hint) as string } },
      'awaiting_approval',
    ])
  })

  test('is not approved before its plan is there', async () => {
    const id = await asked()
    expect(await approve(id, 'x')).toMatchObject({ ok: false, error: { code: 'refused_no_plan' } })
  })

  test('rejected it is refused with the reason and by whom', async () => {
    const id = await asked()
    await plans(id)
    await command(approver, { verb: 'reject', body: { run: id, reason: 'not this week' } })
    expect([(await found(id)).state, (await found(id)).error, await events()]).toEqual([
      'refused',
      { code: 'rejected', message: `rejected by ${approver}: not this week` },
      ['approval_wanted', 'run_refused', 'approval_ended'],
    ])
  })

  test('cancelled while it waits it ends at once', async () => {
    const id = await asked()
    await plans(id)
    await command(asker, { verb: 'cancel', body: { run: id } })
    expect([(await found(id)).state, await approve(id, 'x'), await events()]).toMatchObject([
      'cancelled',
      { ok: false, error: { code: 'refused_not_awaiting' } },
      ['approval_wanted', 'run_cancelled', 'approval_ended'],
    ])
  })

  test('that nobody approves within a day is refused', async () => {
    const id = await asked()
    const digest = await plans(id)
    await ledger.query(`update runs set valid_until = now() - interval '1 second' where id = $1`, [id])
    const late = await approve(id, digest)
    await ledger.transaction(db => endOverdue(db, service()))
    const run = await found(id)
    expect([late, run.state, run.error?.code, await events()]).toMatchObject([
      { ok: false },
      'refused',
      'approval_expired',
      ['approval_wanted', 'run_refused', 'approval_ended'],
    ])
  })

  test('approved in operating hours it waits for their end, and its deadline begins there', async () => {
    const id = await asked()
    const digest = await plans(id)
    const inHours = service(always)
    await approve(id, digest, approver, { by: inHours })
    const sent = await ledger.transaction(db => runs.dispatch(db, 200, (run, now) => judge(questionOf(run), inHours.config, now)))
    const run = await found(id)
    expect([run.state, run.waitingFor, sent!.sent.filter(one => one.mode === 'do'), hoursUntil(run.validUntil, run.notBefore)]).toEqual([
      'queued',
      expect.stringMatching(/^VACUUM FULL is forbidden in "always", until /) as string,
      [],
      24,
    ])
  })

  test('whose approval came in time and whose lock came late waits too', async () => {
    const id = await asked()
    await approve(id, await plans(id))
    await ledger.transaction(db => runs.dispatch(db, 200, (run, now) => judge(questionOf(run), service(always).config, now)))
    expect(await found(id)).toMatchObject({ state: 'queued', dispatchedAt: null, policy: { verdict: 'wait', rule: 'forbid-vacuum-full' } })
  })

  test('is dispatched with the end of its permission', async () => {
    const id = await asked()
    await approve(id, await plans(id))
    await ledger.transaction(db => runs.dispatch(db, 200, (run, now) => judge(questionOf(run), service().config, now)))
    const { policy } = await found(id)
    const [startBy, until] = [new Date(policy!['startBy'] as string), new Date(policy!['until'] as string)]
    expect([policy!['verdict'], until.getTime() - startBy.getTime()]).toEqual(['allow', 60_000])
  })
})

test('in operating hours a command is refused and told when they end', async () => {
  const answer = await command(asker, ofTask, service(always))
  const [run] = await runs.list(ledger, { limit: 9 })
  expect([answer, run, await events()]).toMatchObject([
    { ok: false, error: { code: 'refused_by_forbid-vacuum-full', hint: expect.stringMatching(/^it may begin from .* on$/) as string } },
    { state: 'refused', policy: { verdict: 'wait', rule: 'forbid-vacuum-full' } },
    ['policy_violation'],
  ])
})

test('a plan is made at any time', async () => {
  const answer = await command(asker, { ...ofTask, body: { ...ofTask.body, mode: 'plan' } }, service(always))
  expect([answer.ok, (await runs.list(ledger, { limit: 9 })).map(({ state, mode }) => [state, mode])]).toEqual([true, [['queued', 'plan']]])
})

test('retried it waits for another approval', async () => {
  const id = await asked()
  await plans(id)
  await command(approver, { verb: 'reject', body: { run: id, reason: 'no' } })
  const again = await command(asker, { verb: 'retry', body: { run: id } })
  expect([(await found((again as { run: string }).run)).state]).toEqual(['awaiting_approval'])
})

// Each end against each, and both against the approval, over and over: there is one winner, and the run, its history, its locks and its events agree about who it was.
test('approval, rejection, cancellation and expiry at once have one winner', async () => {
  const rivals = {
    approve: (id: string, digest: string) =>
      ledger.transaction(db =>
        act(db, service(), { id, verb: 'approve', body: { run: id, digest, reason: null }, actor: approver, role: approver }),
      ),
    reject: (id: string) =>
      ledger.transaction(db =>
        act(db, service(), { id, verb: 'reject', body: { run: id, reason: 'no' }, actor: approver, role: approver }),
      ),
    cancel: (id: string) => ledger.transaction(db => carryOut(db, 'cancel', { run: id }, { actor: asker, teller: service() })),
    expire: async (id: string) => {
      const [run] = await runs.find(ledger, id)
      await ledger.transaction(db => runs.endWaiting(db, run!, 'refused', { code: 'approval_expired', message: 'expired' }, []))
    },
  }
  const seen: unknown[] = []
  for (let round = 0; round < 12; round++) {
    const id = await asked()
    const digest = await plans(id)
    const order = Object.values(rivals).toSorted(
      (a, b) => ((a.toString().length * (round + 7)) % 5) - ((b.toString().length * (round + 7)) % 5),
    )
    await Promise.allSettled(order.map(rival => rival(id, digest)))
    const run = await found(id)
    const { rows: locks } = await ledger.query<{ n: number }>('select count(*)::int as n from run_locks where run = $1', [id])
    const ends = (await runs.historyOf(ledger, id)).filter(({ event }) => ['refused', 'cancelled'].includes(event)).length
    // An approved run may be cancelled or expired right afterwards, like any queued one.
    seen.push({ ended: ends === (run.state === 'queued' ? 0 : 1), locks: locks[0]!.n === (run.state === 'queued' ? 2 : 0) })
  }
  expect(seen).toEqual(Array.from({ length: 12 }, () => ({ ended: true, locks: true })))
})

describe('a person', () => {
  test('cannot ask in the name of another', async () => {
    const forged = people
      .get(asker)!
      .query(`insert into commands (id, verb, body, actor) values (gen_random_uuid(), 'run', '{}', 'somebody')`)
    await expect(forged).rejects.toMatchObject({ code: '42501' })
  })

  test.each([
    ['let a run begin', `update runs set state = 'queued'`],
    ['answer a command', `update commands set answer = '{"ok": true}'`],
    ['write the role of a command', `insert into commands (id, verb, body, role) values (gen_random_uuid(), 'approve', '{}', 'x')`],
    ['change the audit', `delete from audit`],
    ['write into the audit', `insert into audit (actor, action, subject) values ('x', 'approve', 'y')`],
    ['give rights to others', `select grant_people()`],
    ['tell events', `insert into outbox (id, event, ce) values (gen_random_uuid(), 'x', '{}')`],
  ])('cannot %s', async (_, sql) => {
    await expect(people.get(asker)!.query(sql)).rejects.toMatchObject({ code: '42501' })
  })

  test('withdraws its own command and nobody else’s', async () => {
    await people.get(asker)!.query(`insert into commands (id, verb, body) values (gen_random_uuid(), 'run', '{}')`)
    const gone = async (name: string) => (await people.get(name)!.query('delete from commands')).rowCount
    expect([await gone(approver), await gone(asker)]).toEqual([0, 1])
  })

  test('reads every table, those of later migrations too', async () => {
    await ledger.query('create table later (id int)')
    const { rows } = await people
      .get(asker)!
      .query<{ unread: string }>(
        `select relname as unread from pg_class where relnamespace = 'dbops'::regnamespace and relkind = 'r' and not has_table_privilege(oid, 'select')`,
      )
    await ledger.query('drop table later')
    expect(rows).toEqual([])
  })
})

/** A window that is always open but for its last minute, and one that is half a day away. */
const always = { from: '00:00', to: '23:59' }
const far = () => {
  const at = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16)
  return { from: at(12), to: at(13) }
}
function service(hours: { from: string; to: string } = far()) {
  const name = hours === always ? 'always' : 'far'
  const config = readConfig(undefined, {
    text: `environment: test\ntargets: { core: { engine: pg, url: "postgres://h/d" } }\nwindows: { ${name}: { from: "${hours.from}", to: "${hours.to}" } }\npolicies: { forbid-vacuum-full: { window: ${name} } }\n`,
  })
  return { config, event: tellerOf('scheduler', 'test').event, log: openLog('scheduler', 'test', 'silent') }
}

const ofTask = { verb: 'run' as const, body: { task: 'pg.vacuum-full', params: { tables: ['core.outbox'] } } }
const plan = { decides: { tables: ['core.outbox'] }, forecast: { seconds: 60 }, bytes: 12 }

/** Who writes the ledger, and under any name. */
const servicesRole = async () => (await loginOf(ledger)).role

/** As the person writes it and the scheduler takes it up; null: under the login of the services, as all names of nobody here. */
async function command(
  name: string | null,
  { verb, body }: { verb: 'run' | 'retry' | 'approve' | 'reject' | 'cancel'; body: Record<string, unknown> },
  by = service(),
): Promise<Answer> {
  const answered = ask(people.get(name ?? '') ?? ledger, { verb, body, actor: name ?? 'somebody' })
  while (!(await takeUp(ledger, (db, taken) => act(db, by, taken))));
  return answered
}
async function asked(): Promise<string> {
  const answer = await command(asker, ofTask)
  if (!answer.ok) throw new Error(answer.error.message)
  return answer.run
}
const approve = (
  id: string,
  digest: string,
  name: string | null = approver,
  { by = service(), reason = null }: { by?: ReturnType<typeof service>; reason?: string | null } = {},
) => command(name, { verb: 'approve', body: { run: id, digest, reason } }, by)

const found = async (id: string) => (await runs.find(ledger, id))[0]!
async function planOf(id: string): Promise<runs.Run> {
  const { rows } = await ledger.query<{ id: string }>(`select id from runs where parent = $1 and mode = 'plan'`, [id])
  return found(rows[0]!.id)
}
/** The plan is made; its digest. */
async function plans(id: string): Promise<string> {
  await endPlan(id, 'succeeded')
  return (await found(id)).approval!.digest
}
async function endPlan(id: string, state: 'succeeded' | 'refused', error: runs.Run['error'] = null): Promise<void> {
  const one = await planOf(id)
  await ledger.query(`update runs set state = 'running', fence = nextval('fences'), plan = $2 where id = $1`, [
    one.id,
    JSON.stringify(plan),
  ])
  const fence = (await runs.fenceOf(ledger, one.id))!
  await ledger.transaction(db => runs.end(db, { fence, state, error, events: [] }))
  await ledger.transaction(db => offerPlans(db, service()))
}
const events = async () => (await ledger.query<{ event: string }>('select event from outbox order by n')).rows.map(({ event }) => event)
const hoursUntil = (at: Date, from = new Date()) => Math.round((at.getTime() - from.getTime()) / 3_600_000)
