// What a command says: tables and lines for people, the environment first; NDJSON for scripts.
import { styleText } from 'node:util'

export type Colour = 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'dim' | 'bold'

export interface Column<Row> {
  head: string
  of(row: Row): string | number | null | undefined
  colour?(row: Row): Colour | undefined
  right?: boolean
  /** Left out where a terminal is too narrow; the last ones go first. */
  wide?: boolean
}

export interface Print {
  json: boolean
  /** The first line of what people read. Nothing in JSON. */
  environment(name: string | undefined, note?: string): void
  /** A line for people. Nothing in JSON. */
  line(text?: string): void
  /** An object for scripts, one a line. Nothing otherwise. */
  record(value: unknown): void
  /** Rows as a table, or each as an object in JSON. `none` is said when there is no row. */
  rows<Row>(rows: Row[], columns: Column<Row>[], none: string): void
  colour(colour: Colour, text: string): string
}

type Output = Pick<NodeJS.WriteStream, 'write'> & { isTTY?: boolean; columns?: number }

export function printer({ json = false, out = process.stdout }: { json?: boolean; out?: Output } = {}): Print {
  const colours = Boolean(out.isTTY) && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb'
  const write = (text: string) => void out.write(`${text}\n`)
  const colour = (name: Colour, text: string) => (colours ? styleText(name, text, { validateStream: false }) : text)
  return {
    json,
    colour,
    environment(name, note) {
      const shown = name === 'prod' ? colour('red', name) : (name ?? 'unknown')
      if (!json) write(`environment: ${shown}${note ? `  ${colour('dim', note)}` : ''}`)
    },
    line(text = '') {
      if (!json) write(text)
    },
    record(value) {
      if (json) write(JSON.stringify(value))
    },
    rows(rows, columns, none) {
      if (json) return rows.forEach(row => write(JSON.stringify(row)))
      if (!rows.length) return write(none)
      const room = out.isTTY ? out.columns || 80 : Infinity
      const lines = tableOf(rows, columns, room)
      for (const line of lines)
        write(
          line
            .map(({ text, colour: name, right, room }, i) => {
              const space = ' '.repeat(Math.max(0, room - width(text)))
              const shown = name ? colour(name, text) : text
              return right ? space + shown : i === line.length - 1 ? shown : shown + space
            })
            .join('  '),
        )
    },
  }
}

interface Cell {
  text: string
  colour: Colour | undefined
  right: boolean | undefined
  /** Of its column. */
  room: number
}

/** What the last column is left with before any other is left out for it. */
const least = 24

/** The heads and the rows, cut to `room` columns: first the wide ones are left out, then the last one is cut. */
function tableOf<Row>(rows: Row[], columns: Column<Row>[], room: number): Cell[][] {
  const all = columns.map(column => {
    const texts = rows.map(row => String(column.of(row) ?? '–'))
    return { column, texts, needs: Math.max(...[column.head, ...texts].map(width)) }
  })
  const before = () => all.slice(0, -1).reduce((sum, { needs }) => sum + needs + 2, 0)
  for (let narrow = -1; before() + Math.min(least, all.at(-1)!.needs) > room; all.splice(narrow, 1)) {
    narrow = all.slice(0, -1).findLastIndex(({ column }) => column.wide)
    if (narrow < 0) break
  }
  const last = all.at(-1)!
  last.texts = last.texts.map(text => cut(text, Math.max(last.column.head.length, room - before())))
  const cell = (text: string, colour: Colour | undefined, { column, needs }: (typeof all)[number]): Cell => ({
    text,
    colour,
    right: column.right,
    room: needs,
  })
  return [
    all.map(one => cell(one.column.head.toUpperCase(), 'dim', one)),
    ...rows.map((row, i) => all.map(one => cell(one.texts[i]!, one.column.colour?.(row), one))),
  ]
}

/** Columns on a terminal: Korean names take two for each character. */
export const width = (text: string) =>
  Array.from(text).reduce(
    (sum, char) => sum + (/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/.test(char) ? 2 : 1),
    0,
  )

/** The beginning of a text that does not fit. */
export function cut(text: string, room: number): string {
  if (width(text) <= room) return text
  let kept = ''
  for (const char of text) {
    if (width(kept + char) > room - 1) break
    kept += char
  }
  return `${kept}…`
}

/** `1 row`, `2,000 rows`, `3 batches`. */
export const many = (n: number, one: string) => `${n.toLocaleString('en')} ${n === 1 ? one : `${one}${/(ch|s|x)$/.test(one) ? 'es' : 's'}`}`
/** Of a unit that is counted in: `rows`, `batches`. */
export const singular = (unit: string) => unit.replace(/(?<=ch|x)es$|s$/, '')

/** An id as people see and type it: its last 8 characters. (The first ones are a clock, and alike.) */
export const shortId = (id: string) => id.slice(-8)

/** How long ago, in one unit: `12s`, `3m`, `5h`, `2d`. */
export function ago(at: Date | string, now = new Date()): string {
  const seconds = Math.max(0, Math.round((now.getTime() - new Date(at).getTime()) / 1_000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}
