// When the text of pg_dumpall counts as whole: by its last words, which differ between its minor versions.
import { expect, test } from 'vitest'
import { isWhole } from '../src/dump/globals.ts'

const end = '--\n-- PostgreSQL database cluster dump complete\n--\n'

const texts: [string, string, boolean][] = [
  ['that ends with the trailer', `CREATE ROLE app;\n${end}\n`, true],
  ['with \\unrestrict before the trailer', `CREATE ROLE app;\n\\unrestrict k3y\n\n${end}\n`, true],
  ['with \\unrestrict after the trailer', `CREATE ROLE app;\n${end}\n\\unrestrict k3y\n`, true],
  ['of a program that ends its lines as Windows does', `CREATE ROLE app;\n${end}`.replaceAll('\n', '\r\n'), true],
  ['that is empty', '', false],
  ['that is cut within the trailer', 'CREATE ROLE app;\n--\n-- PostgreSQL database cluster dump comp', false],
  ['that has the trailer within a comment on a role', `COMMENT ON ROLE app IS 'so:\n${end}';\nALTER ROLE app`, false],
]
test.each(texts)('a text %s is judged rightly', (_, text, whole) => {
  expect(isWhole(text)).toBe(whole)
})
