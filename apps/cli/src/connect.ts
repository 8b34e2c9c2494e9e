// The way to the ledger: the configuration's, else `DBOPS_LEDGER_URL`, else that of the `up` which runs in another terminal.
import type { Ledger } from '@dbops/ledger/ledger'
import type { Config } from '@dbops/runtime/config'
import { Failed } from './fail.ts'
import { findHome, runningUp, type UpFile } from './home.ts'

export interface Connection {
  ledger: Ledger
  /** Undefined when neither a configuration nor a service of this ledger says it; then it is treated as `prod`. */
  environment: string | undefined
  /** Of `--config`, else of the running `up`. */
  config: Config | undefined
  /** The `up` that was found; undefined when the ledger was given. */
  up: UpFile | undefined
}

/** Opens the ledger in one session. Errors: ConfigProblem; Failed with exit 3 when there is no ledger or it does not answer. */
export async function connect(configFile: string | undefined): Promise<Connection> {
  const [{ openLedger, isConnectionProblem }, { environmentTold }, { readConfig }, { serviceUrl }, { redact, registerSecret }] =
    await Promise.all([
      import('@dbops/ledger/ledger'),
      import('@dbops/ledger/services'),
      import('@dbops/runtime/config'),
      import('@dbops/runtime/connection'),
      import('@dbops/runtime/redact'),
    ])
  const config = configFile === undefined ? undefined : readConfig(configFile)
  const given = (config && serviceUrl(config, 'ledger')) || process.env['DBOPS_LEDGER_URL']
  const up = given ? undefined : runningUp(findHome())
  const url = given ?? up?.ledgerUrl
  if (!url)
    throw new Failed('unreachable', 'no ledger is known here', {
      hint: 'start one with ./dbops up, or name it: DBOPS_LEDGER_URL, or --config FILE with "ledger: { url: … }"',
    })
  registerSecret(url)
  try {
    const ledger = await openLedger({ url, name: `cli:${process.pid}`, sessions: 1, migrations: 'expect' })
    const environment = config?.environment ?? up?.environment ?? (await environmentTold(ledger))
    return { ledger, environment, config: config ?? (up && readConfig(up.config, { env: { ...process.env, ...up.variables } })), up }
  } catch (error) {
    if (!isConnectionProblem(error)) throw error
    const hint = up ? './dbops up is there, its PostgreSQL is not: see its terminal' : 'is the server up, and may this machine reach it?'
    throw new Failed('unreachable', redact(`the ledger at ${new URL(url).host} does not answer: ${(error as Error).message}`), {
      hint,
      cause: error,
    })
  }
}
