// What a mutation is: a known fault in a copy of a good backup. The checks must see each of them, or they would not see it in a bad one.
import type { Check, Copy } from './check.ts'

export interface Mutation {
  name: string
  about: string
  /** Checks of this level look for it. */
  level: Check['level']
  /**
   * Makes the fault: in the open transaction of `copy.pg` (level `database`), or by other means that `undo` takes back. Undefined where this
   * backup has nothing that it could be made of.
   */
  apply(copy: Copy): Promise<Mutated | undefined>
}

export interface Mutated {
  /** What was done, in a sentence. */
  what: string
  /** What the checks see otherwise than before, beside what was done in the database. */
  copy?: Partial<Copy>
  /** After the rollback. */
  undo?: () => Promise<void>
}
