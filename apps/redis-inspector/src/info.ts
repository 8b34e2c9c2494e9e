// INFO's text as fields.
import { Problem } from '@dbops/contract/failure'
import type { Info } from './task.ts'

export const parseInfo = (text: string): Info =>
  new Map([...text.matchAll(/^([a-z0-9_]+):(.*?)\r?$/gim)].map(([, field, value]): [string, string] => [field!, value!]))

/** A field that every Redis since 6 has. Throws `info_incomplete` where one does not. */
export function fieldOf(info: Info, field: string): string {
  const value = info.get(field)
  if (value !== undefined) return value
  throw new Problem(`INFO has no field "${field}"`, {
    code: 'info_incomplete',
    hint: 'looked after is Redis 6 or later, asked directly: a proxy may hide fields',
  })
}

export const numberOf = (info: Info, field: string): number => Number(fieldOf(info, field))
