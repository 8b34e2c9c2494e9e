// What people do on the platform, one small transaction at a time: cases, alerts, documents, users; each with its event in the outbox, as Core writes it.
// What was written here goes again after a while, so the tables stay about as large as they are, and dead rows come about.
import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import type { Dice } from './dice.ts'
import { asTenant } from './keep-on.ts'

const tenants = `SELECT id FROM core.tenants WHERE is_active ORDER BY id`
const known = `
  SELECT ARRAY(SELECT id FROM core.users ORDER BY created_at LIMIT 50) AS users,
         ARRAY(SELECT id FROM core.cases ORDER BY case_number LIMIT 200) AS cases,
         ARRAY(SELECT id FROM core.watch_rules ORDER BY id LIMIT 50) AS rules`
// An aged row is one that somebody forgot: past its retention from the first moment, so that every purge has work.
const putEvent = `
  INSERT INTO core.event_outbox (id, event_type, aggregate_type, aggregate_id, payload, tenant_id, created_at)
  VALUES ($1, $2, 'case', $3, $4, $5, now() - $6 * interval '1 day')`
const openCase = `
  INSERT INTO core.cases (id, tenant_id, case_type, org, title, status, priority, amount, owner_id) VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8)`
const workOnCase = `
  UPDATE core.cases SET status = CASE status WHEN 'open' THEN 'in_progress' WHEN 'in_progress' THEN 'closed' ELSE 'open' END,
    closed_at = CASE status WHEN 'in_progress' THEN now() END, priority = $2 WHERE id = $1`
const closeForGood = `DELETE FROM core.cases WHERE id = $1`
const raiseAlert = `
  INSERT INTO core.watch_alerts (tenant_id, rule_id, case_id, severity, status, message) VALUES ($1, $2, $3, $4, 'open', 'threshold exceeded') RETURNING id`
const acknowledgeAlert = `
  UPDATE core.watch_alerts SET status = 'acknowledged', acknowledged_by = $2, acknowledged_at = now() - $3 * interval '1 day', fired_at = fired_at - $3 * interval '1 day' WHERE id = $1`
const dropAlert = `DELETE FROM core.watch_alerts WHERE id = $1`
const logCall = `
  INSERT INTO core.llm_call_logs (tenant_id, user_id, service, model, prompt_tokens, completion_tokens, cost_usd, latency_ms, created_at)
  VALUES ($1, $2, $3, 'large', $4, $5, 0.01, $6, now() - $7 * interval '1 day')`
const addDocument = `
  INSERT INTO core.documents (id, tenant_id, case_id, title, mime_type, storage_key, size_bytes, sha256, uploaded_by)
  VALUES ($1::text, $2, $3, 'Document', 'application/pdf', $1::text, $4, repeat('0', 64), $5)`
const dropDocument = `DELETE FROM core.documents WHERE id = $1`
const signUp = `
  INSERT INTO core.users (id, tenant_id, email, display_name, role, stakeholder_type) VALUES ($1::text, $2, $1::text || '@traffic.example', 'Visitor', 'viewer', 'investor')`
const signIn = `UPDATE core.users SET last_login_at = now() WHERE id = $1`
const leave = `DELETE FROM core.users WHERE id = $1`

interface Tenant {
  id: string
  users: string[]
  cases: string[]
  rules: string[]
}
/** What was written by this process, the oldest first: it goes again once there is more than `most`. */
class Own {
  private readonly all: { tenant: Tenant; id: string }[] = []
  private readonly most: number
  constructor(most: number) {
    this.most = most
  }
  add(tenant: Tenant, id: string): void {
    this.all.push({ tenant, id })
  }
  /** One that has had its time; undefined as long as there are few. */
  surplus = () => (this.all.length > this.most ? this.all.shift() : undefined)
  oldest = () => this.all.shift()
}

export class CoreApi {
  readonly #dice: Dice
  #tenants: Tenant[] = []
  readonly #cases = new Own(2_000)
  readonly #open = new Own(Number.POSITIVE_INFINITY)
  readonly #acknowledged = new Own(2_000)
  readonly #documents = new Own(100)
  readonly #visitors = new Own(30)
  #dataDue = 0
  readonly #dataEvery: number

  constructor(dice: Dice, dataEvery: number) {
    this.#dice = dice
    this.#dataEvery = dataEvery
  }

  /** The tenants, and some rows of each that new ones may refer to. Asked once. */
  async tenants(db: Client): Promise<Tenant[]> {
    if (this.#tenants.length) return this.#tenants
    const { rows } = await db.query<{ id: string }>(tenants)
    const found: Tenant[] = []
    for (const { id } of rows)
      found.push(await asTenant(db, id, async () => ({ id, ...(await db.query<Omit<Tenant, 'id'>>(known)).rows[0]! })))
    // A tenant without users has nobody who could do anything.
    return (this.#tenants = found.filter(({ users, cases, rules }) => users.length && cases.length && rules.length))
  }

  /** One transaction. */
  async act(db: Client): Promise<void> {
    const all = await this.tenants(db)
    if (performance.now() >= this.#dataDue) {
      this.#dataDue = performance.now() + this.#dataEvery
      const tenant = this.#dice.one(all)
      return asTenant(db, tenant.id, () => this.#tell(db, tenant, 'data_registered', this.#dice.one(tenant.cases), 0))
    }
    const act = this.#dice.one(mix)
    const surplus = act === 'tidy' ? this.#surplus() : undefined
    const tenant = surplus?.tenant ?? this.#dice.one(all)
    await asTenant(db, tenant.id, async () => (surplus ? void (await db.query(surplus.sql, [surplus.id])) : this.#do(act, db, tenant)))
  }

  async #do(act: (typeof mix)[number], db: Client, tenant: Tenant): Promise<void> {
    const d = this.#dice
    const id = randomUUID()
    const user = d.one(tenant.users)
    switch (act) {
      case 'open': {
        const amount = Math.round(d.next() * 1e6)
        await db.query(openCase, [
          id,
          tenant.id,
          d.one(['claim', 'audit', 'acquisition']),
          `Org ${Math.floor(d.next() * 12)}`,
          'Traffic',
          1 + Math.floor(d.next() * 5),
          amount,
          user,
        ])
        this.#cases.add(tenant, id)
        return this.#tell(db, tenant, 'case_opened', id)
      }
      case 'work': {
        const subject = d.one(tenant.cases)
        await db.query(workOnCase, [subject, 1 + Math.floor(d.next() * 5)])
        return this.#tell(db, tenant, 'work_item_completed', subject)
      }
      case 'alert': {
        const { rows } = await db.query<{ id: string }>(raiseAlert, [
          tenant.id,
          d.one(tenant.rules),
          d.one(tenant.cases),
          d.one(['info', 'warning', 'critical']),
        ])
        this.#open.add(tenant, rows[0]!.id)
        return this.#tell(db, tenant, 'watch_alert_fired', d.one(tenant.cases))
      }
      case 'call':
        return void (await db.query(logCall, [
          tenant.id,
          user,
          d.one(['oracle', 'synapse', 'vision']),
          900,
          120,
          800,
          d.percent(30) ? 31 : 0,
        ]))
      case 'document':
        await db.query(addDocument, [id, tenant.id, d.one(tenant.cases), 10_000, user])
        return this.#documents.add(tenant, id)
      case 'visit':
        await db.query(signIn, [user])
        await db.query(signUp, [id, tenant.id])
        return this.#visitors.add(tenant, id)
      case 'tidy':
        return void (await db.query(signIn, [user]))
    }
  }

  /** The next thing of ours that has had its time, in its own tenant, and the statement that ends it. */
  #surplus(): { tenant: Tenant; id: string; sql: string } | undefined {
    const owned: [Own, string][] = [
      [this.#visitors, leave],
      [this.#cases, closeForGood],
      [this.#documents, dropDocument],
      [this.#acknowledged, dropAlert],
    ]
    for (const [own, sql] of owned) {
      const one = own.surplus()
      if (one) return { ...one, sql }
    }
    return undefined
  }

  /** Somebody looks at an open alert; a third of them was seen long ago, as far as its row says. */
  async acknowledge(db: Client): Promise<void> {
    const one = this.#open.oldest()
    if (!one) return
    await asTenant(db, one.tenant.id, () =>
      db.query(acknowledgeAlert, [one.id, this.#dice.one(one.tenant.users), this.#dice.percent(33) ? 91 : 0]),
    )
    this.#acknowledged.add(one.tenant, one.id)
  }

  async #tell(
    db: Client,
    tenant: Tenant,
    event: string,
    subject: string,
    days = this.#dice.percent(20) ? this.#dice.one([8, 9, 31]) : 0,
  ): Promise<void> {
    await db.query(putEvent, [randomUUID(), event, subject, { case_id: subject, event }, tenant.id, days])
  }
}

/** As often as it stands here. */
const mix = [
  'open',
  'open',
  'open',
  'work',
  'work',
  'work',
  'alert',
  'alert',
  'call',
  'call',
  'document',
  'visit',
  'tidy',
  'tidy',
  'tidy',
  'tidy',
  'tidy',
] as const
