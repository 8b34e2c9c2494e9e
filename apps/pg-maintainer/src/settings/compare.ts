// What is meant, what is found, and what is dead: a setting of a library that the server has not loaded.
import { escapeLiteral } from 'pg'
import { z } from 'zod'
import type { Meant } from './meant.ts'

export const verdicts = ['as meant', 'differs', 'dead', 'not set', 'hidden'] as const

export const comparedSetting = z.strictObject({
  name: z.string(),
  meant: z.string(),
  /** In the unit beside it; null with its reason. */
  found: z.string().nullable(),
  unit: z.string().nullable(),
  verdict: z.enum(verdicts),
  /** Where the value comes from: `configuration file`, `database`, `user`, `default` … */
  source: z.string().nullable(),
  /** Whether another value stands in the files and waits for a restart. */
  waitsForRestart: z.boolean(),
  reason: z.string().nullable(),
})
export type ComparedSetting = z.infer<typeof comparedSetting>

/** A row of pg_settings. Settings of libraries that are not loaded are not in it; `written` is what stands for them in the files. */
export interface Setting {
  name: string
  setting: string | null
  unit: string | null
  source: string | null
  waitsForRestart: boolean
  written: string | null
}

/** `libraries`: null where the role may not see them. */
export function compareSetting({ name, meant, library }: Meant, row: Setting | undefined, libraries: string[] | null): ComparedSetting {
  const common = {
    name,
    meant: text(meant),
    unit: row?.unit ?? null,
    source: row?.source ?? null,
    waitsForRestart: row?.waitsForRestart ?? false,
  }
  if (library && libraries && !libraries.includes(library)) {
    const written = row?.written ?? null
    return {
      ...common,
      found: written,
      verdict: written === null ? 'not set' : 'dead',
      reason: `${library} is not in shared_preload_libraries${written === null ? '' : ', so nobody reads it'}`,
    }
  }
  if (!row || row.setting === null)
    return { ...common, found: null, verdict: 'hidden', reason: 'the role may not see it: GRANT pg_monitor to it' }
  return { ...common, found: row.setting, verdict: isMeant(meant, row.setting) ? 'as meant' : 'differs', reason: null }
}

export const text = (meant: Meant['meant']) => (typeof meant === 'string' ? meant : meant.join(', '))

export const listOf = (libraries: string) =>
  libraries
    .split(',')
    .map(name => name.trim().replaceAll('"', ''))
    .filter(Boolean)

/** `0.10` is `0.1`; a list may have more than what is meant. */
function isMeant(meant: Meant['meant'], found: string): boolean {
  if (typeof meant !== 'string') return meant.every(library => listOf(found).includes(library))
  return found === meant || (found !== '' && meant !== '' && Number(found) === Number(meant))
}

/** The statement that would set it; a list keeps what is in it. Where the provider has a parameter group it belongs there. */
export function settingSql({ meant }: Meant, { name, found, verdict }: ComparedSetting): string | undefined {
  if (verdict !== 'differs') return undefined
  const values = typeof meant === 'string' ? [meant] : [...new Set([...listOf(found ?? ''), ...meant])]
  return `ALTER SYSTEM SET ${name} = ${values.map(value => escapeLiteral(value)).join(', ')}`
}
