// The text of somebody else's statement as it is told: literals go before secrets, or a secret takes a quote along.
import { expect, test } from 'vitest'
import { statementText } from '../src/statement-text.ts'

test.each([
  [
    'a password that is hashed',
    `UPDATE users SET password = crypt('correct horse', gen_salt('bf')) WHERE email = 'a@b.kr' AND name = 'Kim'`,
    'UPDATE users SET password = ***',
  ],
  [
    'a password with escapes',
    String.raw`UPDATE users SET password = E'correct horse', email = 'a@b.kr'`,
    'UPDATE users SET password = ***',
  ],
])('%s takes no quote along: the literals behind it are gone too', (_, statement, begins) => {
  const text = statementText(statement, 500)!
  expect([text.slice(0, begins.length), /horse|bf|a@b|Kim/.exec(text)]).toEqual([begins, null])
})
