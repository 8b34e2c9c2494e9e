// Checks a protocol at any size, for what is too large for the test suite. A violation prints its trace and exits with 1.
//
//   node libs/shared/testing/src/model/main.ts run-protocol --kills 1 --timed --runs 2
//   node libs/shared/testing/src/model/main.ts run-protocol --task dump --parks 1 --without void-first
//   node libs/shared/testing/src/model/main.ts publisher --rows 2 --flushes 1 --cap 8000000
//   node libs/shared/testing/src/model/main.ts approval --changes 2
//   node libs/shared/testing/src/model/main.ts publisher --rows 3 --flushes 2 --failovers 1 --walks 100000 --seed 7
//
// Every field of `Size` in run-protocol.ts, approval.ts and publisher.ts is a flag; --without may be repeated. Some 300 bytes of memory a state: more than
// 10 million states want node --max-old-space-size. --walks walks at random instead of exploring everything.
import { parseArgs } from 'node:util'
import * as approval from './approval.ts'
import { explore, type Model, wander } from './explore.ts'
import * as publisher from './publisher.ts'
import * as runProtocol from './run-protocol.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    ...flags('task', 'lock', 'runs', 'attempts', 'kills', 'redis', 'replies', 'parks', 'mishaps', 'cancels'),
    ...flags('rows', 'flushes', 'failovers', 'crashes', 'restores', 'spare'),
    ...flags('changes'),
    ...flags('cap', 'walks', 'steps', 'seed'),
    timed: { type: 'boolean' },
    without: { type: 'string', multiple: true, default: [] },
  },
})

const model = modelNamed(positionals[0])
const { cap = 5_000_000, walks, steps = 200, seed = 1 } = numbers(['cap', 'walks', 'steps', 'seed'])
const { verdict, states, depth, seconds, broken, trace } =
  walks === undefined ? explore(model, { cap }) : wander(model, { walks, steps, seed })
console.log(`${verdict}${broken === undefined ? '' : `: ${broken}`}; ${states} states, ${depth} steps deep, ${seconds.toFixed(1)} s`)
for (const label of trace ?? []) console.log(`  ${label}`)
process.exitCode = verdict === 'clean' ? 0 : 1

function modelNamed(name: string | undefined): Model<unknown> {
  if (name === 'run-protocol') {
    const { task = 'write', lock = 'exclusive' } = values
    if (task !== 'write' && task !== 'window' && task !== 'dump') return fail(`--task is write, window or dump, not "${task}"`)
    if (lock !== 'exclusive' && lock !== 'shared') return fail(`--lock is exclusive or shared, not "${lock}"`)
    const counts = numbers(['runs', 'attempts', 'kills', 'redis', 'replies', 'parks', 'mishaps', 'cancels'])
    return runProtocol.runProtocol({
      ...runProtocol.smallest,
      ...counts,
      task,
      lock,
      timed: values.timed === true,
      without: left(runProtocol.protections),
    })
  }
  if (name === 'approval') return approval.approval({ ...approval.smallest, ...numbers(['changes']), without: left(approval.protections) })
  if (name !== 'publisher') return fail(`the protocols are run-protocol, approval and publisher, not "${name ?? ''}"`)
  const counts = numbers(['rows', 'flushes', 'failovers', 'crashes', 'restores', 'spare'])
  return publisher.publisher({ ...publisher.smallest, ...counts, without: left(publisher.protections) })
}

/** The flags among `names` that were given, as whole numbers. */
function numbers<Name extends string>(names: (Name & keyof typeof values)[]): { [name in Name]?: number } {
  const given: { [name in Name]?: number } = {}
  for (const name of names) {
    const text = values[name]
    if (text === undefined) continue
    if (typeof text !== 'string' || !/^\d+$/.test(text)) return fail(`--${name} wants a whole number`)
    given[name] = Number(text)
  }
  return given
}

function left<Protection extends string>(protections: Record<Protection, string>): Protection[] {
  for (const name of values.without)
    if (!(name in protections)) fail(`no protection is called "${name}". Hint: ${Object.keys(protections).join(', ')}`)
  return values.without as Protection[]
}

function fail(message: string): never {
  console.error(message)
  process.exit(2)
}

function flags<Name extends string>(...names: Name[]): Record<Name, { type: 'string' }> {
  return Object.fromEntries(names.map(name => [name, { type: 'string' }])) as Record<Name, { type: 'string' }>
}
