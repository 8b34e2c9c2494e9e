// Whatever a task planned, found or proved, for people: nested names with values, lists of things as tables. Knows no task.
import { formatDuration, formatSize } from '@dbops/contract/duration'
import { stamp } from './moment.ts'
import { width } from './print.ts'

type Facts = Record<string, unknown>

/** What only programs need beside a name. */
const namesForPrograms = ['oid', 'filenode', 'filenodeBefore', 'filenodeAfter']
const forPeople = (key: string, one: Facts) => !namesForPrograms.includes(key) || typeof (one['table'] ?? one['name']) !== 'string'

/** Lines without indentation, at most `room` columns wide where the words allow it. */
export function factLines(value: unknown, room = 100): string[] {
  if (Array.isArray(value)) return listLines(value, room)
  if (!isFacts(value)) return [shown('', value)]
  const rank = byRank([value])
  const entries = Object.entries(value)
    .filter(([key]) => forPeople(key, value))
    .sort(([a], [b]) => rank(a, b))
  const short = entries.filter(([key, inner]) => isShort(key, inner, room))
  const names = Math.max(0, ...short.map(([key]) => width(words(key))))
  // What takes a line stands above what takes several.
  return [...short, ...entries.filter(entry => !short.includes(entry))].flatMap(([key, inner]) => {
    if (isShort(key, inner, room)) return [`${words(key).padEnd(names)}  ${shown(key, inner)}`]
    return [words(key), ...indent(factLines(inner, room - 2))]
  })
}

export const indent = (lines: string[], by = '  ') => lines.map(line => by + line)

function listLines(list: unknown[], room: number): string[] {
  if (!list.every(isFacts)) return list.flatMap(one => factLines(one, room))
  const table = tableLines(list)
  if (table && Math.max(...table.map(width)) <= room) return table
  return list.flatMap(one => factLines(one, room - 2).map((line, i) => (i ? `  ${line}` : `- ${line}`)))
}

/** Undefined where a cell would hold a thing of its own. */
function tableLines(list: Facts[]): string[] | undefined {
  const keys = [...new Set(list.flatMap(one => Object.keys(one).filter(key => forPeople(key, one))))]
    .filter(key => list.some(one => !isEmpty(one[key])))
    .sort(byRank(list))
  if (list.some(one => keys.some(key => !isPlain(one[key])))) return undefined
  const rows = [keys.map(words), ...list.map(one => keys.map(key => shown(key, one[key])))]
  const widths = keys.map((_, i) => Math.max(...rows.map(row => width(row[i]!))))
  const isNumber = keys.map(key => list.every(one => typeof one[key] === 'number' || one[key] == null))
  const cell = (text: string, i: number) => {
    const space = ' '.repeat(widths[i]! - width(text))
    return isNumber[i] ? space + text : text + space
  }
  return rows.map(row => row.map(cell).join('  ').trimEnd())
}

/** The ledger keeps no order of keys: what it is called first, then words, then numbers, `before` before `after`. */
function byRank(list: Facts[]) {
  const rank = (key: string) => {
    const at = ['table', 'name', 'file'].indexOf(key)
    return at >= 0 ? at : list.some(one => typeof one[key] === 'number') ? 4 : 3
  }
  const word = (key: string) => key.replace(/After$/, '~')
  return (a: string, b: string) => rank(a) - rank(b) || (word(a) < word(b) ? -1 : 1)
}

const isFacts = (value: unknown): value is Facts =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
const isEmpty = (value: unknown) =>
  value === null || value === undefined || (Array.isArray(value) ? !value.length : isFacts(value) && !Object.keys(value).length)
const isPlain = (value: unknown) => isEmpty(value) || (Array.isArray(value) ? value.every(one => typeof one !== 'object') : !isFacts(value))
const isShort = (key: string, value: unknown, room: number) =>
  isPlain(value) && (!Array.isArray(value) || width(shown(key, value)) + width(words(key)) + 2 <= room)

/** `deadBefore` → `dead before`. */
const words = (key: string) => key.replace(/(?<=[a-z0-9])[A-Z]/g, letter => ` ${letter.toLowerCase()}`)

/** Numbers that name something: no thousands in them. */
const names = /^(oid|pid|fence|port|n|format ?version|major)$/i

/** What is there in some amount, also where nobody could measure it. */
const measures = /(^b|B)ytes|(^s|S)econds$|(^p|P)ercent$|Ms$|^ms$/

function shown(key: string, value: unknown): string {
  if (isEmpty(value)) return value === null && measures.test(key) ? 'unknown' : 'none'
  if (Array.isArray(value)) return value.map(one => shown(key, one)).join(', ')
  if (value instanceof Date) return stamp(value)
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number') return number(key, value)
  if (typeof value !== 'string') return JSON.stringify(value)
  return /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$/.test(value) ? stamp(value) : value
}

function number(key: string, value: number): string {
  if (names.test(key)) return String(value)
  if (/(^b|B)ytes/.test(key)) return formatSize(value)
  if (/Ms$|^ms$/.test(key)) return formatDuration(value)
  if (/(^s|S)econds$/.test(key)) return value < 120 ? `${Math.round(100 * value) / 100}s` : formatDuration(Math.round(value) * 1_000)
  return value.toLocaleString('en')
}
