// In which order the views of a group are refreshed: what a view reads comes before it, whatever the names say. Pure.
import type { View } from './survey.ts'
import { wayOf } from './way.ts'

type Ordered = Pick<View, 'oid' | 'uses' | 'populated' | 'hasKey'>

/**
 * A view that locks its readers out does so until the whole group is done: it comes as late as those that read it allow. Else the order of
 * `views` stays, the configuration's. A view cannot read itself, so there is always a next one.
 */
export function inOrder<V extends Ordered>(views: readonly V[]): V[] {
  const waiting = [...views]
  const ordered: V[] = []
  while (waiting.length) {
    const ready = waiting.filter(view => !waiting.some(({ oid }) => view.uses.includes(oid)))
    const next = ready.find(view => !locks(view)) ?? ready.find(view => opens(view, waiting)) ?? ready[0] ?? waiting[0]!
    ordered.push(...waiting.splice(waiting.indexOf(next), 1))
  }
  return ordered
}

const locks = (view: Ordered) => wayOf(view) === 'lock'

/** Whether one that locks nobody out waits for it. */
const opens = ({ oid }: Ordered, waiting: readonly Ordered[]) => waiting.some(view => !locks(view) && view.uses.includes(oid))
