// A report as Markdown: readable as it stands, too.
import type { Report, Table } from './report.ts'

/** `plain`: for a reader that shows it as it stands, a terminal. */
export function toMarkdown({ title, subtitle, figures, findings, sections }: Report, { plain = false } = {}): string {
  const text = plain ? oneLine : escaped
  return [
    `# ${text(title)}`,
    text(subtitle),
    figures.map(({ label, value }) => `* ${text(label)}: ${text(value)}`).join('\n'),
    `## ${text(findings.title)}`,
    findings.all.length
      ? findings.all.map(({ level, what, hint }) => `* **${text(level)}** ${text(what)}${hint ? `\n  ${text(hint)}` : ''}`).join('\n')
      : text(findings.none),
    ...sections.flatMap(section => [
      `## ${text(section.title)}`,
      ...(section.note ? [text(section.note)] : []),
      ...(section.table ? [table(section.table, text)] : []),
    ]),
  ]
    .filter(Boolean)
    .join('\n\n')
    .concat('\n')
}

/** Its columns stand under each other. */
function table({ head, numbers, rows }: Table, text: (from: string) => string): string {
  const cells = [head, ...rows].map(row => row.map(text))
  const widths = head.map((_, i) => Math.max(4, ...cells.map(row => widthOf(row[i] ?? ''))))
  const pad = (cell: string, i: number) => {
    const room = ' '.repeat(Math.max(0, widths[i]! - widthOf(cell)))
    return numbers.includes(i) ? room + cell : cell + room
  }
  const line = (row: string[]) => `| ${row.map(pad).join(' | ')} |`
  const rule = `|${widths.map((n, i) => (numbers.includes(i) ? `${'-'.repeat(n + 1)}:` : '-'.repeat(n + 2))).join('|')}|`
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join('\n')
}
/** In columns of a terminal: the signs of Chinese, Japanese and Korean take two. */
const widthOf = (cell: string) =>
  cell.length + (cell.match(/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]/g)?.length ?? 0)

/** Names in it are the application's: nothing of them is markup. */
const escaped = (from: string) => oneLine(from).replace(/[\\`*_[\]<>|#]/g, '\\$&')
const oneLine = (from: string) => from.replace(/\s+/g, ' ')
