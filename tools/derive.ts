// `node tools/derive.ts [--check]`: writes what follows from the declarations, or only compares. Exit 1: a file is stale; 2: a declaration is wrong.
import { Problem } from '@dbops/contract/failure'
import { derive } from './derive-run.ts'

try {
  const { written, stale } = await derive({ check: process.argv.includes('--check') })
  for (const file of written) console.log(`derived ${file}`)
  for (const file of stale) console.error(`${file} is not what follows from the declarations`)
  if (stale.length) console.error('Hint: run ./dbops derive and commit what it writes')
  process.exitCode = stale.length ? 1 : 0
} catch (error) {
  if (!(error instanceof Problem)) throw error
  console.error(error.message)
  process.exitCode = 2
}
