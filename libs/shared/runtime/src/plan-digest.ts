// What an approver approves: a short digest of the part of a plan that was decided on.
import { createHash } from 'node:crypto'
import { canonical } from './operation.ts'

/** Sixteen hex digits over the plan's `decides`, else over all of it. Equal for plans that say the same, whatever the order of their keys. */
export function digestOf(plan: unknown): string {
  const decides = (plan as { decides?: unknown } | null | undefined)?.decides ?? plan ?? null
  return createHash('sha256').update(canonical(decides)).digest('hex').slice(0, 16)
}
