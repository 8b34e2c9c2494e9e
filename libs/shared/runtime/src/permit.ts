// The time that the policy gave a run at its dispatch.
import type { Run } from '@dbops/ledger/runs'

/** Until when, and from when not any more, the policy lets this run begin; undefined where it sets no time. */
export function permitOf({ policy }: Pick<Run, 'policy'>): { rule: string; startBy: Date; until: Date } | undefined {
  const { verdict, rule, startBy, until } = (policy ?? {}) as { verdict?: string; rule?: string; startBy?: string; until?: string }
  if (verdict !== 'allow' || until === undefined) return undefined
  return { rule: rule ?? 'policy', startBy: new Date(startBy ?? until), until: new Date(until) }
}
