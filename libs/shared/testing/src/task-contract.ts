// The contract of every task, as a suite that each app runs over all of its tasks: what it declares, what its parameters take, and that its proof can say no.
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { taskRefusals } from '@dbops/catalog/refusals'
import type { AnyContext, Task } from '@dbops/contract/task'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'

/** A database where the task has done nothing, and the facts that it would report had it worked. */
export interface Untouched<Verbs> {
  context: AnyContext & Verbs
  facts: Record<string, unknown>
}

export interface Trial<Verbs> {
  /** Required of a task that proves: its `prove` must say no to these facts. */
  untouched?: () => Promise<Untouched<Verbs>> | Untouched<Verbs>
}

/** The tasks of a folder by the name that their path gives them: `await tasksIn('pg', new URL('../src/tasks/', import.meta.url))`. */
export async function tasksIn<Verbs>(engine: string, folder: URL): Promise<[expected: string, task: Task<Verbs>][]> {
  const files = readdirSync(folder)
    .filter(file => file.endsWith('.ts'))
    .toSorted()
  return Promise.all(
    files.map(async (file): Promise<[string, Task<Verbs>]> => {
      const { default: task } = (await import(pathToFileURL(`${fileURLToPath(folder)}/${file}`).href)) as { default: Task<Verbs> }
      return [`${engine}.${basename(file, '.ts')}`, task]
    }),
  )
}

/** `for (const [expected, task] of await tasksIn(…)) taskContract(expected, task, trials[expected])` */
export function taskContract<Verbs>(expected: string, task: Task<Verbs>, { untouched }: Trial<Verbs> = {}): void {
  describe(`the contract of ${expected}`, () => {
    test('its declaration is one that the system can derive from', () => {
      expect(taskRefusals(task as Task, expected)).toEqual([])
    })
    test('its parameters take their own defaults and examples', () => {
      expect(refusedExamples(task.params)).toEqual([])
    })
    test('its parameters refuse a key that nobody declared', () => {
      expect(task.params.safeParse({ 'nobody-declared-this': 1 }).error?.issues.map(issue => issue.code)).toContain('unrecognized_keys')
    })
    test('its state cannot grow with the data', () => {
      expect(endlessLists(task.state)).toEqual([])
    })
    test.runIf(task.effect !== 'read' || task.prove)('its proof says no on an untouched database, with a reason', async () => {
      expect(untouched, `${expected} proves: give its contract \`untouched\``).toBeDefined()
      const { context, facts } = await untouched!()
      const proof = await task.prove!(context, task.result.parse(facts))
      expect(proof).toMatchObject({ ok: false, reason: expect.stringMatching(/\S/) as string })
    })
  })
}

type Json = { properties?: Record<string, Json>; default?: unknown; examples?: unknown[]; type?: string; maxItems?: number }

/** Parameters whose declared default or example their own schema refuses. */
export const refusedExamples = (params: z.ZodObject): string[] =>
  Object.entries((z.toJSONSchema(params, { io: 'input' }) as Json).properties ?? {}).flatMap(([name, said]) =>
    [...(said.examples ?? []), ...('default' in said ? [said.default] : [])]
      .filter(value => !params.shape[name]!.safeParse(value).success)
      .map(value => `${name}: ${JSON.stringify(value)}`),
  )

/** Lists and records in the state that have no limit: one entry per row of a large table is more than the 64 KiB that `save` takes. */
export function endlessLists(state: z.ZodType, path = 'state'): string[] {
  const look = (said: unknown, at: string): string[] => {
    if (!said || typeof said !== 'object') return []
    const { type, maxItems, properties = {}, ...rest } = said as Json & Record<string, unknown>
    const open = (type === 'array' && maxItems === undefined) || typeof rest.additionalProperties === 'object'
    return [
      ...(open ? [at] : []),
      ...Object.entries(properties).flatMap(([name, part]) => look(part, `${at}.${name}`)),
      ...['items', 'anyOf', 'oneOf'].flatMap(key => [rest[key]].flat().flatMap(part => look(part, at))),
    ]
  }
  return look(z.toJSONSchema(state), path)
}
