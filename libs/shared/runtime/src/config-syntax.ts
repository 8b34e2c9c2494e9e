// What the YAML parser complains of, in words for people.
import type { Document, LineCounter, YAMLError } from 'yaml'
import type { Found } from './config-problem.ts'

export const deepest = 60
export const tooDeep = { message: 'this is nested too deeply', hint: `nest at most ${deepest} levels` }

/** Nobody mends more at once, and a file that is something else entirely has a million of them. */
const mostSyntaxErrors = 20

/** The parser's complaints, one a line: one slip makes several on its line, of which the first helps. */
export function syntaxErrors(
  document: Document.Parsed,
  text: string,
  counter: LineCounter,
  lines: ReadonlyMap<string, number>,
): (Found & { line: number })[] {
  const first = new Map<number, YAMLError>()
  for (const error of [...document.errors, ...document.warnings]) {
    const { line } = counter.linePos(error.pos[0])
    if (!first.has(line)) first.set(line, error)
    if (first.size === mostSyntaxErrors) break
  }
  const written = text.split('\n')
  return [...first].map(([line, error]) => {
    const told = syntaxInWords(error, written[line - 1] ?? '')
    const above = told === tooDeep ? undefined : [...lines].findLast(([, at]) => at <= line)
    return { line, path: above ? [above[0]] : [], ...told }
  })
}

function syntaxInWords(error: YAMLError, line: string): { message: string; hint: string } {
  if (/call stack/.test(error.message)) return tooDeep
  if (/[:[,{]\s*\$\{/.test(line) && /[{[]/.test(line.replaceAll('${', '')))
    return { message: 'a variable stands between brackets without quotes', hint: 'write "${NAME}" in quotes' }
  if (error.code === 'TAB_AS_INDENT' || (/^\s*\t/.test(line) && error.code !== 'MULTIPLE_DOCS'))
    return { message: 'a tab stands where the line is indented', hint: 'indent with spaces; YAML allows no tabs there' }
  if (error.code === 'MULTIPLE_DOCS')
    return { message: 'a second document begins here', hint: 'take out the line "---": a configuration is one document' }
  if (error.code === 'TAG_RESOLVE_FAILED')
    return { message: `this is no YAML that is read here: ${lower(error.message)}`, hint: 'take out the tag (!…)' }
  const message = `this is no YAML: ${lower(error.message)}`
  if (/Nested mappings|Implicit keys|BLOCK_AS_IMPLICIT_KEY/.test(`${error.code} ${error.message}`))
    return { message, hint: 'put a text that contains ": " into quotes, and look at the indentation' }
  return { message, hint: 'look at brackets, quotes and indentation on this line and the one above' }
}

const lower = (sentence: string) => sentence.charAt(0).toLowerCase() + sentence.slice(1).replace(/;? please use .*/i, '')
