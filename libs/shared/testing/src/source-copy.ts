// A copy of our own source that runs by itself: to take something out of it, or to let it be another version.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

export const sourceRoot = resolve(import.meta.dirname, '../../../..')

/** The files that git knows, and the packages of the original: ours are named by links of the copy itself. Throws where there is no git. */
export function copySource(to: string, from = sourceRoot): void {
  for (const file of execFileSync('git', ['ls-files'], { cwd: from, encoding: 'utf8' }).trim().split('\n')) {
    mkdirSync(dirname(join(to, file)), { recursive: true })
    cpSync(join(from, file), join(to, file))
  }
  const [packages, copied] = [join(from, 'node_modules'), join(to, 'node_modules')]
  mkdirSync(copied)
  for (const name of readdirSync(packages))
    if (name === '@dbops') cpSync(join(packages, name), join(copied, name), { recursive: true, verbatimSymlinks: true })
    else symlinkSync(join(packages, name), join(copied, name))
}
