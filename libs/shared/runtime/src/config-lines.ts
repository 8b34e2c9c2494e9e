// Reads YAML into plain values, and remembers the line on which every key stands. Bounded: a small file cannot become a large value.
import { nearMiss } from '@dbops/contract/names'
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import { type Found, formatPath, type Path } from './config-problem.ts'
import { deepest, syntaxErrors, tooDeep } from './config-syntax.ts'

export interface Lines {
  /** `{}` for an empty file. Keys without a value are left out, as if they were not there. */
  value: unknown
  /** The line of a path as `formatPath` writes it; of what encloses it when it is not there itself. */
  lineOf: (path: string) => number
  /** What is wrong with the text; then `value` means nothing. Each has its own line: the path only says near what. */
  errors: (Found & { line: number })[]
}

/** How many values aliases may add to a file: far above any real one, far below what hurts. */
const aliasedValues = 10_000

export function readLines(text: string): Lines {
  const counter = new LineCounter()
  const lines = new Map<string, number>()
  const errors: Lines['errors'] = []
  const lineAt = (node: { range?: readonly number[] | null | undefined }) => counter.linePos(node.range?.[0] ?? 0).line
  const complain = (line: number, path: Path, message: string, hint: string) => errors.push({ line, path, message, hint })

  let document: Document.Parsed
  try {
    document = parseDocument(text, { lineCounter: counter, prettyErrors: false, uniqueKeys: false, logLevel: 'error' })
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    complain(1, [], tooDeep.message, tooDeep.hint)
    return { value: {}, lineOf: () => 1, errors }
  }

  const anchors = new Map<string, Node>()
  let aliased = 0
  const plain = (node: unknown, path: Path, insideAlias: boolean, open: readonly unknown[]): unknown => {
    if (open.length > deepest) return void complain(lineAt(node as Node), path.slice(0, 2), tooDeep.message, tooDeep.hint)
    if (insideAlias && ++aliased > aliasedValues) return undefined
    if (isAlias(node)) {
      const source = anchors.get(node.source)
      if (!source)
        return void complain(
          lineAt(node),
          path,
          `there is no anchor &${node.source} above`,
          nearMiss(node.source, anchors.keys()) ?? 'write the value itself',
        )
      if (open.includes(source))
        return void complain(lineAt(node), path, `the alias *${node.source} contains itself`, 'write the value itself')
      return plain(source, path, true, open)
    }
    if (!isMap(node) && !isSeq(node) && !isScalar(node)) return undefined
    if (node.anchor && !insideAlias) anchors.set(node.anchor, node)
    if (isScalar(node)) return node.value
    if (isSeq(node))
      return node.items.map((item, index) => {
        const at = [...path, index]
        if (!insideAlias) lines.set(formatPath(at), lineAt(item as Node))
        return plain(item, at, insideAlias, [...open, node])
      })
    const first = new Map<string, number>()
    const entries: [string, unknown][] = []
    for (const { key, value } of node.items) {
      const line = lineAt(key as Node)
      const name = keyOf(key)
      if (name === undefined) {
        complain(line, path, 'this cannot be a key', 'write a key as a plain word')
        continue
      }
      const at = [...path, name]
      if (first.has(name)) complain(line, at, `"${name}" stands here twice, first on line ${first.get(name)}`, 'keep one of the two')
      else first.set(name, line)
      if (!insideAlias) lines.set(formatPath(at), line)
      const inner = plain(value, at, insideAlias, [...open, node])
      if (inner !== null && inner !== undefined) entries.push([name, inner])
    }
    return Object.fromEntries(entries)
  }

  const value = plain(document.contents, [], false, []) ?? {}
  if (aliased > aliasedValues)
    complain(1, [], `aliases blow this file up to more than ${aliasedValues} values`, 'write the values out, or use fewer aliases (*name)')
  if (typeof value !== 'object' || Array.isArray(value))
    complain(1, [], `the file is ${Array.isArray(value) ? 'a list' : 'a single value'}`, 'begin with keys such as "targets:"')

  const broken = syntaxErrors(document, text, counter, lines)
  return {
    value,
    lineOf: path => {
      for (let at = path; at; at = at.slice(0, Math.max(at.lastIndexOf('.'), at.lastIndexOf('['), 0))) {
        const line = lines.get(at)
        if (line) return line
      }
      return 1
    },
    errors: broken.length ? broken : errors,
  }
}

/** A key as text; undefined for what is none. */
function keyOf(key: unknown): string | undefined {
  const value = isScalar(key) ? key.value : undefined
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return undefined
  return value === '__proto__' ? undefined : String(value)
}
