// How a view can be refreshed, and whether readers would be locked out meanwhile. Pure.
import type { View } from './survey.ts'

export const ways = ['concurrently', 'fill', 'lock'] as const
/** `fill`: it is empty and unreadable until then, so nobody is kept from anything. `lock`: readers wait until all of the group is done. */
export type Way = (typeof ways)[number]

export const wayOf = ({ populated, hasKey }: Pick<View, 'populated' | 'hasKey'>): Way =>
  !populated ? 'fill' : hasKey ? 'concurrently' : 'lock'
