// Runs the programs of bench/<area>/, one after the other so that none disturbs another.
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { nearMiss } from '@dbops/contract/names'
import type { Context } from './command.ts'
import { exits } from './exits.ts'
import { Failed } from './fail.ts'
import { root } from './home.ts'

const folder = join(root, 'bench')

export async function bench({ args, print }: Context): Promise<number> {
  const areas = areasIn(folder)
  const [wanted, ...passedOn] = args.flat() as [string | undefined, ...string[]]
  if (wanted === undefined) {
    print.rows(
      areas,
      [
        { head: 'area', of: ({ area }) => area },
        { head: 'measures', of: ({ programs }) => programs.map(({ about }) => about).join(' ') },
      ],
      'there is nothing to measure in bench/',
    )
    return exits.done
  }
  const area = areas.find(one => one.area === wanted)
  if (!area) {
    const names = areas.map(one => one.area)
    throw new Failed('wrong', `there is no area "${wanted}"`, {
      code: 'unknown_area',
      hint: nearMiss(wanted, names) ?? `there is ${names.join(', ') || 'none'}`,
    })
  }
  let worst: number = exits.done
  for (const { file } of area.programs) worst = Math.max(worst, await runProgram(file, [...passedOn, ...(print.json ? ['--json'] : [])]))
  return worst ? exits.failed : exits.done
}

/** Folders with programs; what a program measures is its first line. */
const areasIn = (place: string) =>
  folders(place).flatMap(area => {
    const programs = readdirSync(join(place, area))
      .filter(name => name.endsWith('.ts'))
      .sort()
      .map(name => join(place, area, name))
      .map(file => ({
        file,
        about: readFileSync(file, 'utf8')
          .split('\n', 1)[0]!
          .replace(/^\/\/ /, ''),
      }))
    return programs.length ? [{ area, programs }] : []
  })

function folders(place: string): string[] {
  try {
    return readdirSync(place, { withFileTypes: true })
      .filter(entry => entry.isDirectory())
      .map(({ name }) => name)
      .sort()
  } catch {
    return []
  }
}

/** Its exit code; 1 where a signal ended it. */
const runProgram = (file: string, options: string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [file, ...options], { cwd: root, stdio: 'inherit' })
    child.once('error', reject)
    child.once('exit', code => resolve(code ?? 1))
  })
