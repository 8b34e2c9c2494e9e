// Pauses: no slots of a schedule, a target, a task or of everything become runs, until a stated time. What a person asks for is run all the same.
import { v7 as uuidv7 } from 'uuid'
import { recordDeed } from './audit.ts'
import type { Queryable } from './ledger.ts'

export const scopes = ['all', 'schedule', 'target', 'task'] as const
export interface Pause {
  id: string
  scope: (typeof scopes)[number]
  name: string | null
  until: Date
  actor: string
  createdAt: Date
}

export async function pause(db: Queryable, p: Omit<Pause, 'id' | 'createdAt'>): Promise<string> {
  const id = uuidv7()
  await db.query('insert into pauses (id, scope, name, until, actor) values ($1, $2, $3, $4, $5)', [id, p.scope, p.name, p.until, p.actor])
  await recordDeed(db, { actor: p.actor, action: 'pause', subject: p.name ?? 'all', detail: { scope: p.scope, until: p.until } })
  return id
}

/** Lifts what stands for exactly this scope and name; returns how many pauses that were. */
export async function resume(db: Queryable, p: Pick<Pause, 'scope' | 'name' | 'actor'>): Promise<number> {
  const { rowCount } = await db.query(
    'update pauses set lifted_at = now() where scope = $1 and name is not distinct from $2 and lifted_at is null and until > now()',
    [p.scope, p.name],
  )
  await recordDeed(db, { actor: p.actor, action: 'resume', subject: p.name ?? 'all', detail: { scope: p.scope, lifted: rowCount } })
  return rowCount ?? 0
}

/** The pauses that stand now. */
export const standing = async (db: Queryable): Promise<Pause[]> =>
  (
    await db.query<Pause>(
      'select id, scope, name, until, actor, created_at as "createdAt" from pauses where lifted_at is null and until > now() order by until',
    )
  ).rows

/** The first of these pauses that stops this schedule on this target. */
export const inForce = (pauses: Pause[], of: { schedule: string; target: string | null; task: string }): Pause | undefined =>
  pauses.find(
    p =>
      p.scope === 'all' ||
      (p.scope === 'schedule' && p.name === of.schedule) ||
      (p.scope === 'target' && p.name === of.target) ||
      (p.scope === 'task' && p.name === of.task),
  )
