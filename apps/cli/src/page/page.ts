// The one page of `up` and of `status --watch`: from what is known, and the size of the terminal, its lines. It asks nobody and writes nowhere.
import { clock } from '../moment.ts'
import { many } from '../print.ts'
import { laidOut } from './layout.ts'
import { type Line, lineOn, type Paper, type Part } from './line.ts'
import type { Model, Seen } from './model.ts'
import { starting, watched } from './sections.ts'

/** At most `height` lines, none wider than `width`. */
export function page(model: Model, paper: Paper): string[] {
  const line = lineOn(paper)
  const head = headLines(model, line)
  const foot = [line([model.foot, 'dim'])]
  const room = paper.height - head.length - foot.length
  const body = laidOut(model.seen ? watched(model.seen, model, line) : starting(model, line), room, line)
  // The foot stands at the bottom, whatever is above it.
  const gap = Array.from({ length: Math.max(0, room - body.length) }, () => '')
  return [...head, ...body, ...gap, ...foot].slice(0, paper.height)
}

function headLines({ environment, note, seen, trouble, waited, zone }: Model, line: Line): string[] {
  const name: Part = [environment ?? 'unknown', environment === 'prod' ? 'red' : 'bold']
  const title = line(seen ? `${clock(seen.now, seen.now, zone)}  ` : '', ['environment ', 'dim'], name, [`  ${note}`, 'dim'])
  if (trouble) return [title, line([trouble, 'red'])]
  return [title, seen ? line(...summary(seen)) : line([waited === undefined ? '' : `starting for ${waited} s`, 'dim'])]
}

/** `1 alert firing · 3 findings · core up, cache up · 5 services ready`: what is cut on a narrow terminal is what comes last. */
function summary({ services, targets, alerts, findings, deadLetters }: Seen): Part[] {
  const hindered = services.filter(({ colour }) => colour !== 'green')
  const ready = services.length - hindered.length
  return [
    [alerts ? `${many(alerts, 'alert')} firing` : 'no alert', alerts ? 'red' : 'dim'],
    [' · ', 'dim'],
    [findings ? many(findings, 'finding') : 'no finding', findings ? 'yellow' : 'dim'],
    ...(deadLetters
      ? ([
          [' · ', 'dim'],
          [many(deadLetters, 'dead letter'), 'yellow'],
        ] satisfies Part[])
      : []),
    [' · ', 'dim'],
    ...(targets.length ? targets : [{ name: 'no target', state: '' }]).flatMap(({ name, state }, i): Part[] => [
      i ? ', ' : '',
      [`${name} ${state}`.trim(), state === 'down' ? 'red' : state === 'up' ? 'green' : 'yellow'],
    ]),
    [' · ', 'dim'],
    [`${many(ready, 'service')} ready`, ready ? 'green' : 'yellow'],
    ...hindered.flatMap(({ app, words, colour, reasons }): Part[] => [
      ', ',
      [`${app} ${words}${reasons[0] && reasons[0] !== words ? `: ${reasons[0]}` : ''}`, colour],
    ]),
  ]
}
