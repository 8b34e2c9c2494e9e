// Everything that must be right: configuration, ledger, services and what hinders them, targets as their maintainers found them, stores, events.

import { openStore } from '@dbops/artifacts/open-store'
import { demandSpace } from '@dbops/artifacts/space'
import { formatDuration } from '@dbops/contract/duration'
import { failureOf } from '@dbops/contract/failure'
import { firingBySeverity } from '@dbops/ledger/alerts'
import { deadLettersByReader } from '@dbops/ledger/dead-letters'
import { countOpen, overloadsStanding } from '@dbops/ledger/findings'
import { describeLedger, type Ledger } from '@dbops/ledger/ledger'
import { backlog, positions } from '@dbops/ledger/outbox'
import { peopleOf } from '@dbops/ledger/people'
import { listTargets } from '@dbops/ledger/schedules'
import { type Config, checkConfig } from '@dbops/runtime/config'
import { apps } from '@dbops/runtime/config-owners'
import { bad, type Check, foundOnTargets, ok, tellCheck } from './checks.ts'
import type { Context } from './command.ts'
import type { Connection } from './connect.ts'
import { exits } from './exits.ts'
import { findHome, runningUp } from './home.ts'
import { many } from './print.ts'
import { isSilent, listWorkers, type Worker } from './workers.ts'

export async function doctor(c: Context): Promise<number> {
  const { print } = c
  const checks: Check[] = configuration(c.options.config)
  let connection: Connection | undefined
  try {
    connection = await c.connect()
    const { ledger, config } = connection
    checks.push(
      ...(await ledgerChecks(ledger)),
      ...(await services(ledger, config)),
      ...(await foundOnTargets(ledger)),
      ...(await stores(config)),
      ...(await events(ledger)),
      ...(await overloads(ledger)),
      ...(await standing(ledger)),
    )
  } catch (error) {
    const { message, hint } = failureOf(error)
    // A wrong configuration has been told, fault by fault.
    if (!checks.some(({ level }) => level === 'error')) checks.push({ area: 'ledger', level: 'error', what: message, hint: hint ?? null })
  }
  print.environment(connection?.environment)
  for (const check of checks) tellCheck(print, check, Math.max(...checks.map(({ area }) => area.length)))
  const count = (level: Check['level']) => checks.filter(check => check.level === level).length
  const [errors, warnings] = [count('error'), count('warning')]
  print.line()
  print.line(
    errors || warnings
      ? `${errors} error${errors === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}`
      : 'everything is right',
  )
  return errors ? exits.failed : exits.done
}

/** Of --config, else of the running `up`. */
function configuration(named: string | undefined): Check[] {
  const up = named === undefined ? runningUp(findHome()) : undefined
  const file = named ?? up?.config
  if (!file) return []
  const { errors } = checkConfig(file, { env: { ...process.env, ...up?.variables } })
  if (!errors.length) return [ok('config', `${file} is right`)]
  return errors.map(({ file, line, path, message, hint }) =>
    bad('error', 'config', `${file}:${line}${path ? ` ${path}` : ''}: ${message}`, hint),
  )
}

async function ledgerChecks(ledger: Ledger): Promise<Check[]> {
  const { server, bytes, migrations } = await describeLedger(ledger)
  return [ok('ledger', `PostgreSQL ${server}, ${migrations} migrations, ${bytes}`), people(await peopleOf(ledger))]
}

/** Without two logins of people nothing can be approved; all else works. */
function people(found: Awaited<ReturnType<typeof peopleOf>>): Check {
  const page = 'docs/operate/approve.md says how they are made'
  if (!found) return bad('warning', 'ledger', 'it has no group for people, so nothing can be approved: its owner may not make roles', page)
  const { group, members } = found
  if (members.length > 1) return ok('ledger', `people: ${members.join(', ')}`)
  return bad(
    'warning',
    'ledger',
    `${members.length ? `only ${members[0]} is` : 'nobody is'} in ${group}: an approval wants two people`,
    page,
  )
}

/** Who must be there is there, ready, and of one catalogue. */
async function services(ledger: Ledger, config: Config | undefined): Promise<Check[]> {
  const all = await listWorkers(ledger, config)
  const engines = new Set((await listTargets(ledger)).map(({ engine }) => engine))
  const needed = apps.filter(app => app !== 'cli' && (!/-(maintainer|inspector)$/.test(app) || engines.has(app.split('-')[0]!)))
  const missing = needed.filter(app => !all.some(one => one.app === app && !isSilent(one)))
  return [
    ...missing.map(app => bad('error', 'services', `no ${app} is running`, './dbops up starts all; a deployment starts its own')),
    ...all.flatMap(one => {
      // Another of its kind has taken over, or it was named as missing above.
      if (isSilent(one)) return []
      if (!one.ready) return one.reasons.map(reason => hindrance(one.name, reason))
      if (!one.sameCatalog)
        return [
          bad(
            'warning',
            one.name,
            `it has catalogue ${one.catalogHash}, which is not that of this program`,
            'run the same version everywhere: stop it and start it again',
          ),
        ]
      return [ok(one.name, `ready, version ${one.version}`), ...excess(one)]
    }),
  ]
}

/** What it could do without, in the ledger and in Redis. */
function excess({ name, excess, redisRights }: Worker): Check[] {
  const ledger = `its role in the ledger has more than it needs: ${excess.join(', ')}`
  const redis = `its user ${redisRights?.user} in the operations Redis has more than it needs: ${redisRights?.excess.join(', ')}`
  return [
    ...(excess.length ? [bad('warning', name, ledger, 'deploy/sql/ledger-roles.sql makes a login for each service')] : []),
    ...(redisRights?.excess.length ? [bad('warning', name, redis, 'deploy/redis/operations.acl has a user for each service')] : []),
  ]
}

/** What a service says of itself has its mend after a semicolon, where it knows one. */
function hindrance(name: string, reason: string): Check {
  if (reason === 'starting') return bad('warning', name, 'it is starting', 'ask again in a moment')
  const [what, ...mend] = reason.split('; ')
  return bad('error', name, what!, mend.join('; ') || 'see its log, and the server that it speaks of')
}

/** As this machine reaches them, where the configuration is known. */
async function stores(config: Config | undefined): Promise<Check[]> {
  return Promise.all(
    Object.entries(config?.stores ?? {}).map(async ([name, store]) => {
      try {
        const opened = await openStore(name, store)
        await demandSpace(opened, 0)
        return ok(`store ${name}`, `${opened.location} can be used`)
      } catch (error) {
        const { message, hint } = failureOf(error)
        return bad('error', `store ${name}`, message, hint ?? 'it must be there and writable for the maintainers')
      }
    }),
  )
}

async function events(ledger: Ledger): Promise<Check[]> {
  const [{ due, oldest }, readers, now] = [await backlog(ledger), await positions(ledger), await ledger.now()]
  const setAside = await deadLettersByReader(ledger)
  const age = oldest ? now.getTime() - oldest.getTime() : 0
  const slow = readers.filter(({ behind }) => behind > 1_000)
  return [
    age > 60_000
      ? bad(
          'error',
          'events',
          `${due} events are not in the stream, the oldest for ${formatDuration(age)}`,
          'is a scheduler ready, and the operations Redis there?',
        )
      : ok('events', 'all told events are in the stream'),
    ...slow.map(({ reader, behind }) =>
      bad('warning', 'events', `reader ${reader} is ${behind} events behind`, 'is it running? Its entries are kept until its maxLag'),
    ),
    ...setAside.map(({ reader, waiting }) =>
      bad(
        'warning',
        'events',
        `${many(waiting, 'dead letter')} of ${reader} ${waiting === 1 ? 'waits' : 'wait'} for somebody to look at ${waiting === 1 ? 'it' : 'them'}`,
        `./dbops dlq --reader ${reader}`,
      ),
    ),
  ]
}

/** What the scheduler found to be too much at its last look. */
const overloads = async (ledger: Ledger): Promise<Check[]> =>
  (await overloadsStanding(ledger)).map(({ level, what, hint }) =>
    bad(level === 'error' ? 'error' : 'warning', 'overload', what, hint ?? ''),
  )

/** What is known already, and goes on: it is looked after there, and no fault of the installation. */
async function standing(ledger: Ledger): Promise<Check[]> {
  const [open, firing] = [await countOpen(ledger), await firingBySeverity(ledger)]
  const total = firing.reduce((sum, { firing }) => sum + firing, 0)
  const bySeverity = firing.map(({ severity, firing }) => `${firing} ${severity}`).join(', ')
  return [
    open ? bad('warning', 'findings', `${many(open, 'finding')} open`, './dbops findings') : ok('findings', 'none is open'),
    total
      ? bad('warning', 'alerts', `${many(total, 'alert')} firing: ${bySeverity}`, './dbops alerts --state firing')
      : ok('alerts', 'none is firing'),
  ]
}
