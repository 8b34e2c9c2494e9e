// The boundary check: dependency-cruiser with our rules over every file of ours, then what no import graph can tell (names of files, SQL in the command line).
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cruise, type ICruiseResult } from 'dependency-cruiser'
import ts from 'typescript'
import { boundaryRules } from './boundary-rules.ts'

export interface Violation {
  rule: string
  /** Relative to the root, with its line where there is one. */
  file: string
  found: string
}

const roots = ['apps', 'libs', 'tools', 'bench']
const shelves = new Set('index util utils common helper helpers type types constant constants misc shared-utils'.split(' '))

/**
 * Checks the tree under `root` (default: this repository). `modules` counts our files that were really looked at.
 * Throws when dependency-cruiser did not see every file that is there: under a TypeScript without its API it cruises none and finds all well.
 */
export async function checkBoundaries(
  root = fileURLToPath(new URL('..', import.meta.url)),
): Promise<{ modules: number; violations: Violation[] }> {
  const files = roots.filter(folder => existsSync(join(root, folder))).flatMap(folder => sourcesIn(root, folder))
  const { output } = await cruise(
    files,
    {
      baseDir: root,
      validate: true,
      ruleSet: { forbidden: boundaryRules.map(rule => ({ severity: 'error', ...rule })) },
      doNotFollow: { path: 'node_modules' },
      tsPreCompilationDeps: true,
      enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    },
    { extensions: ['.ts', '.js', '.mjs', '.json', '.d.ts'] },
  )
  const { modules, summary } = output as ICruiseResult
  const seen = new Set(modules.map(module => module.source))
  const unseen = files.filter(file => !seen.has(file))
  if (!files.length || unseen.length)
    throw new Error(
      `dependency-cruiser looked at ${files.length - unseen.length} of ${files.length} files (not at ${unseen[0] ?? 'any'}): it needs typescript 6`,
    )
  const imports = summary.violations.map(({ rule, from, to, cycle }) => ({
    rule: rule.name,
    file: from,
    found: `${rule.name === 'no-orphans' ? 'stands alone' : `imports ${cycle?.map(step => step.name).join(' → ') ?? to}`}; ${commentOf(rule.name)}`,
  }))
  return { modules: files.length, violations: [...imports, ...files.flatMap(shelf), ...files.flatMap(file => sqlIn(root, file))] }
}

const sourcesIn = (root: string, folder: string) =>
  globSync(`${folder}/**/*.ts`, { cwd: root, exclude: path => basename(path) === 'node_modules' }).toSorted()

const commentOf = (name: string) => boundaryRules.find(rule => rule.name === name)!.comment

/** Import the thing, not the shelf: a file and its folders are named after what is in them. */
const shelf = (file: string): Violation[] =>
  file
    .replace(/\.ts$/, '')
    .split('/')
    .filter(word => shelves.has(word))
    .map(word => ({ rule: 'no-shelves', file, found: `"${word}" names a shelf; name it after the thing in it` }))

const statement =
  /^\s*(select\s[\s\S]*\sfrom\s|insert\s+into\s|update\s+\S+\s+set\s|delete\s+from\s|with\s+\w+\s+as\s*\(|(create|alter|drop|truncate)\s+(table|index|role|schema|database)\s)/i

/** The command line calls the ledger's verbs, as every other client does; its literals are looked at one by one, so that prose in comments is free. */
function sqlIn(root: string, file: string): Violation[] {
  if (!file.startsWith('apps/cli/src/')) return []
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.ESNext)
  const found: Violation[] = []
  const look = (node: ts.Node) => {
    const text = ts.isStringLiteralLike(node) ? node.text : ts.isTemplateExpression(node) ? node.getText(source).slice(1) : ''
    if (statement.test(text))
      found.push({
        rule: 'cli-without-sql',
        file: `${file}:${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}`,
        found: 'holds SQL; the command line calls the verbs of the ledger',
      })
    ts.forEachChild(node, look)
  }
  look(source)
  return found
}
