// `node tools/boundaries.ts`: checks who imports whom, how files are named and that the command line holds no SQL. Part of `npm run lint`.
import { checkBoundaries } from './boundary-check.ts'

const { modules, violations } = await checkBoundaries()
for (const { rule, file, found } of violations) console.error(`${file}: ${found} [${rule}]`)
console.log(`boundaries: ${modules} files, ${violations.length} violations`)
process.exitCode = violations.length ? 1 : 0
