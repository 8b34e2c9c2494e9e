// The way to the ledger: the configuration's, else `DBOPS_LEDGER_URL`, else that of the `up` which runs in another terminal.
import { nearMiss } from '@dbops/contract/names'
import type { Ledger } from '@dbops/ledger/ledger'
import type { Config } from '@dbops/runtime/config'
import { Failed } from './fail.ts'
import { findHome, runningUp, type UpFile } from './home.ts'
import { person } from './person.ts'

export interface Connection {
  ledger: Ledger
  /** Undefined when neither a configuration nor a service of this ledger says it; then it is treated as `prod`. */
  environment: string | undefined
  /** Of `--config`, else of the running `up`. */
  config: Config | undefined
  /** The `up` that was found; undefined when the ledger was given. */
  up: UpFile | undefined
  /** Under which deeds are written down: the role that logged in, where it is a person's; with the services' own, the user of the operating system. */
  actor: string
  /** Whether the login may write the ledger itself, as that of the services may. */
  owns: boolean
}

/** Opens the ledger in one session, as the person `as`, which under `up` is `operator` unless it is said. Errors: ConfigProblem; Failed with exit 3 when there is no ledger or it does not answer. */
export async function connect(configFile: string | undefined, as?: string): Promise<Connection> {
  const [
    { openLedger, isConnectionProblem },
    { loginOf },
    { environmentTold },
    { readConfig },
    { serviceUrl },
    { redact, registerSecret },
  ] = await Promise.all([
    import('@dbops/ledger/ledger'),
    import('@dbops/ledger/people'),
    import('@dbops/ledger/services'),
    import('@dbops/runtime/config'),
    import('@dbops/runtime/connection'),
    import('@dbops/runtime/redact'),
  ])
  const config = configFile === undefined ? undefined : readConfig(configFile)
  const given = (config && serviceUrl(config, 'ledger')) || process.env['DBOPS_LEDGER_URL']
  const up = given ? undefined : runningUp(findHome())
  const url = urlFor(as, given, up)
  if (!url)
    throw new Failed('unreachable', 'no ledger is known here', {
      hint: 'start one with ./dbops up, or name it: DBOPS_LEDGER_URL, or --config FILE with "ledger: { url: … }"',
    })
  registerSecret(url)
  try {
    const ledger = await openLedger({ url, name: `cli:${process.pid}`, sessions: 1, migrations: 'expect' })
    const environment = config?.environment ?? up?.environment ?? (await environmentTold(ledger))
    const { role, owns } = await loginOf(ledger)
    const told = config ?? (up && readConfig(up.config, { env: { ...process.env, ...up.variables } }))
    return { ledger, environment, config: told, up, actor: owns ? person() : role, owns }
  } catch (error) {
    if (!isConnectionProblem(error)) throw error
    const hint = up ? './dbops up is there, its PostgreSQL is not: see its terminal' : 'is the server up, and may this machine reach it?'
    throw new Failed('unreachable', redact(`the ledger at ${new URL(url).host} does not answer: ${(error as Error).message}`), {
      hint,
      cause: error,
    })
  }
}

/** Of a person: `DBOPS_LEDGER_URL_<NAME>`, else the login that `up` has made. */
function urlFor(as: string | undefined, given: string | undefined, up: UpFile | undefined): string | undefined {
  if (as === undefined) return given ?? up?.people['operator'] ?? up?.ledgerUrl
  const variable = `DBOPS_LEDGER_URL_${as.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`
  const url = process.env[variable] || (given ? undefined : up?.people[as])
  if (url) return url
  const known = Object.keys((!given && up?.people) || {})
  const hint = known.length
    ? `${nearMiss(as, known) ?? `up has made ${known.join(' and ')}`}; another is named by ${variable}`
    : `set ${variable} to the ledger's URL with that person's login`
  throw new Failed('wrong', `no login of "${as}" is known here`, { code: 'unknown_person', hint })
}
