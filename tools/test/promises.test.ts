// What docs/concepts.md promises is shown by tests, each named by its file and its title: those that it names are there.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const files = globSync('{apps/*,libs/shared/*,tools}/test/**/*.test.ts', { cwd: root })
const concepts = readFileSync(join(root, 'docs/concepts.md'), 'utf8')

test('every test that docs/concepts.md names is there, by its file and by its title', () => {
  const { named, missing } = namedIn(concepts)
  expect([missing, named > 50]).toEqual([[], true])
})

test.each([
  ['a file that is gone', '`libs/shared/ledger/test/gone.test.ts`', 'libs/shared/ledger/test/gone.test.ts'],
  ['a name that two files have', '`main.test.ts`', 'main.test.ts'],
  ['a title that is gone', '`protocol.test.ts`, *SIGNORE …*', 'protocol.test.ts: SIGNORE'],
  [
    'a title of the file before',
    '| `protocol.test.ts` |\n| the same, *a test that\n  nobody wrote* |',
    'protocol.test.ts: a test that nobody wrote',
  ],
])('%s is told', (_, text, missing) => {
  expect(namedIn(text).missing).toEqual([missing])
})

/** `file.test.ts`, with its whole path or by its name alone where one file has it; after a comma the title, or how it begins, in italics. */
function namedIn(text: string): { named: number; missing: string[] } {
  const missing: string[] = []
  let [named, file] = [0, '']
  for (const [, path, title] of text.replaceAll(/\s+/g, ' ').matchAll(/(?:`([\w./-]+\.test\.ts)`|the same)(?:, \*([^*]+)\*)?/g)) {
    if (path === undefined && title === undefined) continue
    named++
    file = path ?? file
    const found = files.filter(one => one === file || (!file.includes('/') && one.endsWith(`/${file}`)))
    if (found.length !== 1) missing.push(file)
    else if (title !== undefined) {
      const beginning = title.replace(/ ?…$/, '')
      if (!readFileSync(join(root, found[0]!), 'utf8').includes(beginning)) missing.push(`${file}: ${beginning}`)
    }
  }
  return { named, missing }
}
