// What the platform says of its statements, without the values that were in them: those are its customers' data.
import { withoutLiterals } from '@dbops/runtime/without-literals'

/** Names under which a statement is told. */
const statements = /^(query|statement|sql)(_?text)?$/i
/** Names under which nothing but values is told. */
const values = /^(params|parameters|bindings|args|arguments|bind_?values|values)$/i
/** A word, a number, a time or an id is no statement. */
const isOneWord = (text: string) => text.length <= 100 && !/[\s'"$]/.test(text)

/**
 * The same data with `?` for every literal of a statement, at most `room` characters of each, however deep it lies. Of an event that is about a statement (`wholly`) every
 * text may quote it, errors most of all, and parameters are left out. Throws a RangeError for what is nested too deeply.
 */
export function withoutValues<T>(data: T, room: number, wholly: boolean): T {
  const clean = (value: unknown, isStatement: boolean): unknown => {
    if (typeof value === 'string')
      return isStatement ? withoutLiterals(value, room) : wholly && !isOneWord(value) ? inWords(value, room) : value
    if (Array.isArray(value)) return value.map(one => clean(one, isStatement))
    if (value === null || typeof value !== 'object') return value
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => !(wholly && values.test(name)))
        .map(([name, inner]) => [name, clean(inner, isStatement || statements.test(name))]),
    )
  }
  return clean(data, false) as T
}

/**
 * Of prose that may quote a statement, or values as PostgreSQL's own errors do: `Key (email)=(a@b.kr) already exists`, `invalid input syntax for type integer: "4711"`. Its
 * quotes would make a name of a whole statement.
 */
const inWords = (text: string, room: number): string =>
  withoutLiterals(
    text
      .replace(/(\bKey \([^)]*\))=\(.*\)/g, '$1=(?)')
      .replace(/: "[^"]*"/g, ': ?')
      .replaceAll('"', ' '),
    room,
  )

/** A field of an entry that became no event, as far as it can be shown: one that should be JSON and is not cannot be told apart, and of an event about a statement only its length is left. */
export function shownField(text: string, room: number, wholly: boolean, largest: number): string {
  if (text.length > largest) return `(${text.length} characters)`
  const data = parsed(text)
  if (data !== undefined) {
    try {
      return JSON.stringify(withoutValues(data, room, wholly))
    } catch {
      return `(${text.length} characters, nested too deeply)`
    }
  }
  if (!wholly || isOneWord(text)) return text
  return /^\s*[[{"]/.test(text) ? `(${text.length} characters that are no JSON)` : inWords(text, room)
}

/** Undefined for what is no object or list of JSON. */
function parsed(text: string): object | undefined {
  try {
    const data: unknown = JSON.parse(text)
    return typeof data === 'object' && data !== null ? data : undefined
  } catch {
    return undefined
  }
}
