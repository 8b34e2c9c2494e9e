// Keeps a page on the screen: reads again and again what it shows, and draws it.
import { setTimeout as sleep } from 'node:timers/promises'
import { isConnectionProblem } from '@dbops/ledger/ledger'
import type { Colour } from '../print.ts'
import type { Model, Seen } from './model.ts'
import { page } from './page.ts'
import type { Screen } from './screen.ts'

export interface Shown {
  screen: Screen
  /** What is shown; `seen` and `trouble` are filled in here, all else by its owner, at any time. */
  model: Model
  colour: (name: Colour, text: string) => string
}

export const draw = ({ screen, model, colour }: Shown) => screen.draw(page(model, { width: screen.width, height: screen.height, colour }))

/** Reads and draws every so many milliseconds until `signal` aborts. A ledger that is away is said on the page, and asked again. */
export async function keepShowing(shown: Shown, read: () => Promise<Seen>, every: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      shown.model.seen = await read()
      shown.model.trouble = undefined
    } catch (error) {
      if (signal.aborted) return
      if (!isConnectionProblem(error)) throw error
      shown.model.trouble = 'the ledger does not answer; what stands here is old'
    }
    draw(shown)
    await sleep(every, undefined, { signal }).catch(() => {})
  }
}
