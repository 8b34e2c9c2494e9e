// A report as Markdown: readable as it stands, too.
import type { Report, Table } from './report.ts'

export function toMarkdown({ title, subtitle, figures, findings, sections }: Report): string {
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
      ...(section.table ? [table(section.table)] : []),
    ]),
  ]
    .filter(Boolean)
    .join('\n\n')
    .concat('\n')
}

function table({ head, numbers, rows }: Table): string {
  const line = (cells: string[]) => `| ${cells.map(cell => text(cell)).join(' | ')} |`
  return [line(head), `|${head.map((_, i) => (numbers.includes(i) ? '---:|' : '---|')).join('')}`, ...rows.map(line)].join('\n')
}

/** Names in it are the application's: nothing of them is markup. */
const text = (from: string) => from.replace(/[\\`*_[\]<>|#]/g, '\\$&').replace(/\s+/g, ' ')
