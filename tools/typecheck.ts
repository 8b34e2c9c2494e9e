// `node ../../tools/typecheck.ts` in a package: checks the types of that package's files with the one tsconfig, and nothing else, so that its nx target
// has true inputs (itself and what it imports). `npm run typecheck` in the root checks everything at once.
import { globSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import ts from 'typescript'

const root = resolve(import.meta.dirname, '..')
const folder = relative(root, process.cwd())
const { config } = ts.readConfigFile(resolve(root, 'tsconfig.base.json'), path => ts.sys.readFile(path)) as {
  config: { compilerOptions: object }
}
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
const files = globSync(`${folder}/{*,src/**/*,test/**/*}.ts`, { cwd: root }).map(file => resolve(root, file))
// What the tests are provided with (`inject('pgUrl')`) is declared where it is provided.
const program = ts.createProgram([...files, resolve(root, 'libs/shared/testing/src/global-setup.ts')], options)
const problems = [
  ...program.getOptionsDiagnostics(),
  ...files.flatMap(file => {
    const source = program.getSourceFile(file)
    return source ? [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)] : []
  }),
]
if (problems.length)
  console.error(
    ts.formatDiagnosticsWithColorAndContext(problems, {
      getCanonicalFileName: name => name,
      getCurrentDirectory: () => root,
      getNewLine: () => '\n',
    }),
  )
console.log(`${folder}: ${files.length} files, ${problems.length} type errors`)
// No file at all is a wrong folder, not a success.
process.exitCode = problems.length || !files.length ? 1 : 0
