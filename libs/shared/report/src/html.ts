// A report as one page that needs nothing else: no script, no font, no picture from anywhere. It prints, and follows the reader's light or dark.
import type { Report, Section, Table } from './report.ts'

const style = `
:root { color-scheme: light dark; --ink: light-dark(#1c2430, #e6e9ee); --soft: light-dark(#5b6675, #9aa5b4); --line: light-dark(#dfe3e8, #333b46); --paper: light-dark(#fff, #14181e); --bar: light-dark(#3b6fd4, #6f9bef); --warning: #b7791f; --error: #c53030 }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, 'Noto Sans KR', 'Malgun Gothic', sans-serif; color: var(--ink); background: var(--paper); max-width: 64rem; margin: 2rem auto; padding: 0 1.25rem }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
p { margin: .3rem 0 } .soft { color: var(--soft) }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .8rem; margin: 1.4rem 0 } dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem } dt { color: var(--soft); font-size: .82rem } dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
ul { list-style: none; padding: 0 } li { border-left: .25rem solid var(--line); padding: .2rem .8rem; margin: .5rem 0 } li.warning { border-color: var(--warning) } li.error, li.critical { border-color: var(--error) }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem } th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere } th { color: var(--soft); font-weight: 600 } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
svg { width: 100%; height: auto; font-size: 12px } svg text { fill: var(--ink) } svg rect { fill: var(--bar) }
@media print { body { margin: 0; max-width: none } h2 { break-after: avoid } tr { break-inside: avoid } }`

export function toHtml({ language, title, subtitle, figures, findings, sections }: Report): string {
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${text(title)}</title>
<style>${style}
</style>
</head>
<body>
<h1>${text(title)}</h1>
<p class="soft">${text(subtitle)}</p>
<dl>${figures.map(({ label, value }) => `<div><dt>${text(label)}</dt><dd>${text(value)}</dd></div>`).join('')}</dl>
<h2>${text(findings.title)}</h2>
${
  findings.all.length
    ? `<ul>${findings.all.map(({ level, what, hint }) => `<li class="${text(level)}">${text(what)}${hint ? `<p class="soft">${text(hint)}</p>` : ''}</li>`).join('')}</ul>`
    : `<p>${text(findings.none)}</p>`
}
${sections.map(section).join('\n')}
</body>
</html>
`
}

const section = ({ title, note, bars, table: rows }: Section): string =>
  `<section>
<h2>${text(title)}</h2>
${note ? `<p class="soft">${text(note)}</p>` : ''}${bars?.length ? chart(title, bars) : ''}${rows ? table(rows) : ''}
</section>`

const table = ({ head, numbers, rows }: Table): string => {
  const attribute = (i: number) => (numbers.includes(i) ? ' class="n"' : '')
  const line = (cell: 'th' | 'td', cells: string[]) =>
    `<tr>${cells.map((each, i) => `<${cell}${attribute(i)}>${text(each)}</${cell}>`).join('')}</tr>`
  return `<div class="wide"><table><thead>${line('th', head)}</thead><tbody>${rows.map(row => line('td', row)).join('\n')}</tbody></table></div>`
}

const [width, row, labels, shown] = [760, 22, 220, 150]
/** Bars one under the other, the longest as wide as there is room. */
function chart(title: string, bars: NonNullable<Section['bars']>): string {
  const most = Math.max(...bars.map(({ value }) => value), 1)
  const each = bars.map(({ label, value, shown: words }, i) => {
    const [y, long] = [i * row, Math.max(1, ((width - labels - shown) * value) / most)]
    return `<text x="${labels - 8}" y="${y + 15}" text-anchor="end">${text(short(label))}</text><rect x="${labels}" y="${y + 3}" width="${long.toFixed(1)}" height="${row - 7}" rx="2"/><text x="${(labels + long + 6).toFixed(1)}" y="${y + 15}">${text(words)}</text>`
  })
  return `<svg viewBox="0 0 ${width} ${bars.length * row}" role="img" aria-label="${text(title)}">${each.join('')}</svg>`
}
const short = (label: string) => (label.length > 32 ? `${label.slice(0, 31)}…` : label)

const marks: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
/** Names in it are the application's: nothing of them is markup. */
const text = (from: string) => from.replace(/[&<>"']/g, mark => marks[mark]!)
