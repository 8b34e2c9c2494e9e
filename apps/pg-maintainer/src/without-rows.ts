// What PostgreSQL says of an error quotes a value now and then, and a value is somebody's row: it stays in the server's own log.
import { withoutLiterals } from '@dbops/runtime/without-literals'

// How a message begins: with its kind, behind the name of the program that passes it on.
const beginning =
  /^(?:(?:pg_\w+|psql)\b.*?: |psql:.*?: )?(?:\w+: +)*?(ERROR|FATAL|PANIC|WARNING|NOTICE|DETAIL|HINT|CONTEXT|STATEMENT|QUERY|LINE \d+|error|warning|detail|hint|Command was): /
const passedOn = /^(?:pg_\w+|psql)\b.*?: /

/** The message of an error that came with a session: names stay, values go. */
export const withoutValues = (message: string): string => message.replace(/(: |\bvalue )"[\s\S]*"/, '$1"…"')

/**
 * The last words of a client program: of a DETAIL nothing, of a CONTEXT the place without what stands there, of a statement no literals, of an error no values.
 * `cut`: its beginning is missing, and what stands before the next message goes too.
 */
export function withoutRows(words: string, cut = false): string {
  const messages: string[] = []
  for (const line of words.split('\n')) {
    if (beginning.test(line) || passedOn.test(line) || !messages.length) messages.push(line)
    else messages[messages.length - 1] += `\n${line}`
  }
  if (cut && messages[0] && !passedOn.test(messages[0])) messages.shift()
  return messages.map(withoutRow).filter(Boolean).join('\n')
}

function withoutRow(message: string): string {
  const kind = beginning.exec(message)?.[1]
  if (kind === 'DETAIL' || kind === 'STATEMENT' || kind === 'QUERY' || kind?.startsWith('LINE')) return ''
  if (kind === 'CONTEXT') return message.replace(/(CONTEXT: +[^:"]*)[\s\S]*/, '$1').replace(/[ ,]+$/, '')
  if (kind === 'detail' || kind === 'Command was')
    return message.replace(
      /((?:Query|Command) was: )([\s\S]*)/,
      (_, was: string, statement: string) => was + withoutLiterals(statement, 1_000),
    )
  return withoutValues(message)
}
