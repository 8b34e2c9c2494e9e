// An operation as people know it: one that no entry of the configuration names ends in a hash, and says nothing without what it works on.

const hash = /:[0-9a-f]{6}$/
const mostNames = 2

/** `pg.dump:metadata` as it is; `pg.vacuum:1f21b0` of a table as `pg.vacuum:1f21b0 core.event_outbox`. */
export function operationWords(operation: string, params: Record<string, unknown> | undefined): string {
  const names = hash.test(operation) ? namesIn(params) : ''
  return names ? `${operation} ${names}` : operation
}

/** The same where nobody will look for the hash: `pg.vacuum core.event_outbox`. */
export const workWords = (operation: string, params: Record<string, unknown> | undefined): string =>
  hash.test(operation) && namesIn(params) ? operationWords(operation, params).replace(/:[0-9a-f]{6} /, ' ') : operation

/** The tables, keys and the like among parameters. */
function namesIn(params: Record<string, unknown> = {}): string {
  const lists = Object.values(params).filter(value => Array.isArray(value) && value.every(one => typeof one === 'string'))
  const names = lists.flat()
  const shown = names.length > mostNames ? [...names.slice(0, mostNames), `${names.length - mostNames} more`] : names
  return shown.join(', ')
}
