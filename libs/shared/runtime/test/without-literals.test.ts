// What of a statement leaves the database: every kind of literal is gone, everything else is as it was.
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parameters, withoutLiterals } from '../src/without-literals.ts'

test.each([
  ['text', `SELECT * FROM users WHERE email = 'a@b.kr' AND name = 'O''Hara'`, 'SELECT * FROM users WHERE email = ? AND name = ?'],
  [
    'numbers, not the digits of names',
    `SELECT t1.c2 FROM t1 WHERE x = -1.5e-3 AND y IN (1, .5, 0x1F)`,
    'SELECT t1.c2 FROM t1 WHERE x = -? AND y IN (?, ?, ?)',
  ],
  ['parameters stay', 'UPDATE t SET a = $1 WHERE b = $12', 'UPDATE t SET a = $1 WHERE b = $12'],
  ['escapes', String.raw`SELECT E'it\'s ' || 'x', B'101', U&'\0041', n'y'`, 'SELECT ? || ?, ?, ?, ?'],
  ['dollar quotes', `DO $body$ BEGIN RAISE 'secret $$ 1'; END $body$`, 'DO ?'],
  ['plain dollar quotes', `SELECT $$top 'secret$$, 1`, 'SELECT ?, ?'],
  ['names in quotes', `SELECT "Order 66"."it''s" FROM "1"`, `SELECT "Order 66"."it''s" FROM "1"`],
  ['comments', `SELECT /* tenant 4711 */ 1 -- for Kim\n FROM t`, 'SELECT ? FROM t'],
  ['a text that was cut in a literal', `INSERT INTO t VALUES ('half of a sec`, 'INSERT INTO t VALUES (?'],
  ['a text that was cut in a comment', `SELECT 1 /* half`, 'SELECT ?'],
  ['passwords', `ALTER ROLE kim PASSWORD 'correct horse' VALID UNTIL '2030-01-01'`, 'ALTER ROLE kim PASSWORD ? VALID UNTIL ?'],
  ['a comment in a comment, with all that follows', `SELECT 1 /* a /* ' */ ' */ , 'secret'`, 'SELECT ?'],
  ['a quote after a backslash, with all that follows', String.raw`SELECT 'it\'s secret', 'x'`, 'SELECT ?'],
  ['backslashes elsewhere', String.raw`SELECT 'C:\dir', a`, 'SELECT ?, a'],
  ['Korean names', `SELECT 이름1 FROM 고객 WHERE 이름1 = '김'`, 'SELECT 이름1 FROM 고객 WHERE 이름1 = ?'],
])('%s', (_, statement, text) => {
  expect(withoutLiterals(statement, 500)).toBe(text)
})

test('whatever the literals stand beside, and wherever the text is cut, nothing of them comes out', () => {
  const secret = 'Zq7'
  const literals = [
    `'${secret}'`,
    `'it''s ${secret}'`,
    String.raw`E'a\'${secret}\\'`,
    String.raw`'back\'${secret}'`,
    `U&'${secret}'`,
    `$$${secret}'$$`,
    `$a_1$ $$ ' ${secret} $a_1$`,
    `/* ${secret} ' */`,
    `/* /* ' ${secret} */ ${secret} ' */`,
    `-- ${secret} '\n`,
  ]
  const others = ['SELECT', 'a.b', `"q'"`, '"x""y"', '$1', ',', '(', ')', '42', '||', '::text', 'e', 'U&"n"', '\n', 'foo$$']
  const piece = fc.oneof(fc.constantFrom(...literals), fc.constantFrom(...others))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.nat(), (pieces, cut) => {
      const statement = pieces.join(' ')
      const whole = withoutLiterals(statement, 500)
      const partly = withoutLiterals(statement.slice(0, cut % (statement.length + 1)), 500)
      expect([whole, partly].join()).not.toMatch(/Zq7|Zq|q7/)
    }),
    { numRuns: 2_000, seed: 11 },
  )
})

test('a long statement is cut, and one that fits is not', () => {
  expect([withoutLiterals('SELECT aaaa', 8), withoutLiterals('SELECT a', 8)]).toEqual(['SELECT …', 'SELECT a'])
})

test('parameters are counted by the highest, and none in a literal or a comment', () => {
  expect([parameters(`SELECT $2, $10`), parameters(`SELECT '$3', "$4", $$ $5 $$ /* $6 */`)]).toEqual([10, 0])
})
