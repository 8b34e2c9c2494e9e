// What of a statement leaves the database: every kind of literal is gone, everything else is as it was.
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
  ['Korean names', `SELECT 이름1 FROM 고객 WHERE 이름1 = '김'`, 'SELECT 이름1 FROM 고객 WHERE 이름1 = ?'],
])('%s', (_, statement, text) => {
  expect(withoutLiterals(statement, 500)).toBe(text)
})

test('a long statement is cut, and one that fits is not', () => {
  expect([withoutLiterals('SELECT aaaa', 8), withoutLiterals('SELECT a', 8)]).toEqual(['SELECT …', 'SELECT a'])
})

test('parameters are counted by the highest, and none in a literal or a comment', () => {
  expect([parameters(`SELECT $2, $10`), parameters(`SELECT '$3', "$4", $$ $5 $$ /* $6 */`)]).toEqual([10, 0])
})
