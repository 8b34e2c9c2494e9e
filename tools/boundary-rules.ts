// Who may import whom, as dependency-cruiser's rules: apps → runtime → ledger, artifacts → contract, and a driver only in the hands of its engine.
// Tests may look at anything but another app: they check a database with its driver, from outside.
import type { IForbiddenRuleType } from 'dependency-cruiser'

const ours = '^(apps|libs|tools|bench)/'
const library = (...names: string[]) => names.map(name => `^libs/shared/${name}/`)
const app = (...names: string[]) => names.map(name => `^apps/${name}/`)
const npm = (...names: string[]) => names.map(name => `node_modules/(@types/)?${name}/`)

const direction = (name: string, comment: string, from: string, allowed: string[]) => ({
  name,
  comment,
  from: { path: `^libs/shared/${from}/src/` },
  to: { path: ours, pathNot: allowed },
})
/** A driver may be imported in the sources of `owners` alone; `testing` and `servers` start and break the real thing. */
const driver = (name: string, comment: string, packages: string[], owners: string[]) => ({
  name,
  comment,
  from: { path: '/src/', pathNot: owners },
  to: { path: npm(...packages) },
})

export const boundaryRules = [
  {
    name: 'apps-stand-apart',
    comment: 'apps never import apps: they meet in the ledger and on the stream',
    from: { path: '^apps/([^/]+)/' },
    to: { path: '^apps/', pathNot: '^apps/$1/' },
  },
  {
    name: 'contract-is-light',
    comment: 'contract runs in a browser: it imports zod and croner only',
    from: { path: '^libs/shared/contract/src/' },
    to: { pathNot: ['^libs/shared/contract/src/', ...npm('zod', 'croner')] },
  },
  direction('catalog-on-contract', 'catalog is data: it imports contract only', 'catalog', library('catalog', 'contract')),
  direction('stores-on-contract', 'ledger and artifacts import contract only', '(ledger|artifacts)', library('$1', 'contract')),
  direction(
    'runtime-downwards',
    'runtime imports ledger, artifacts, catalog and contract only',
    'runtime',
    library('runtime', 'ledger', 'artifacts', 'catalog', 'contract'),
  ),
  direction('servers-and-sample-stand-alone', 'servers and sample import nothing of ours', '(servers|sample)', library('$1')),
  {
    name: 'testing-in-tests',
    comment: 'testing is for tests, bench and the chaos command: it breaks things',
    from: { path: '^(apps|libs)/.*/src/', pathNot: [...library('testing'), ...app('cli')] },
    to: { path: library('testing') },
  },
  {
    name: 'sample-in-up',
    comment: 'no service knows the sample platform; up, tests and bench do',
    from: { path: '^apps/[^/]+/src/', pathNot: app('cli') },
    to: { path: library('sample') },
  },
  {
    name: 'servers-in-up-and-restores',
    comment: 'only the command line and the maintainers (restore checks) start servers',
    from: { path: '^apps/[^/]+/src/', pathNot: app('cli', '[^/]+-maintainer') },
    to: { path: library('servers') },
  },
  {
    name: 'tools-stay-tools',
    comment: 'only the command line (derive, bench) and tests reach into tools and bench',
    from: { path: '^(apps|libs)/.*/src/', pathNot: app('cli') },
    to: { path: '^(tools|bench)/' },
  },
  driver(
    'pg-in-its-hands',
    'pg belongs to the ledger, pg-maintainer, servers and sample; everyone else calls the verbs of the ledger',
    ['pg', 'pg-cursor', 'pg-copy-streams'],
    [...library('ledger', 'servers', 'sample', 'testing'), ...app('pg-maintainer')],
  ),
  driver(
    'neo4j-in-its-hands',
    'neo4j-driver belongs to neo4j-maintainer and servers',
    ['neo4j-driver', 'neo4j-driver-core'],
    [...library('servers', 'testing'), ...app('neo4j-maintainer')],
  ),
  {
    ...driver(
      'redis-in-its-hands',
      'ioredis belongs to runtime (bus and queue), redis-inspector, servers and sample',
      ['ioredis'],
      [...library('runtime', 'servers', 'sample', 'testing'), ...app('redis-inspector')],
    ),
    // A service hands out its connection to the operations Redis; who only names the type of it opens none.
    to: { path: npm('ioredis'), dependencyTypesNot: ['type-only'] },
  },
  driver('bullmq-in-its-hands', 'BullMQ belongs to the queue of runtime', ['bullmq'], library('runtime', 'testing')),
  {
    name: 'no-cycles',
    comment: 'files that import each other in a circle are one file, or the wrong two',
    from: {},
    // Types are stripped before anything is loaded, so a circle that a type closes is none.
    to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
  },
  {
    name: 'no-orphans',
    comment: 'a file that imports nothing and is imported by nobody is dead',
    from: { path: '^(apps|libs)/.*/src/|^tools/', orphan: true },
    to: {},
  },
  {
    name: 'resolvable',
    comment: 'the import leads nowhere',
    from: {},
    to: { couldNotResolve: true },
  },
  {
    name: 'declared',
    comment: 'the package is not among the dependencies in package.json',
    // The tests' own tools (vitest, fast-check) stand in the root's package.json.
    from: { path: '^(apps|libs)/.*/src/', pathNot: library('testing') },
    to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
  },
] satisfies IForbiddenRuleType[]
