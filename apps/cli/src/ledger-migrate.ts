// Brings the ledger's tables up to date and gives people and services their rights in it.
import { openLedger } from '@dbops/ledger/ledger'
import { grantServices } from '@dbops/ledger/rights'
import { appliedMigrations } from '@dbops/ledger/sizes'
import { readConfig } from '@dbops/runtime/config'
import { serviceUrl } from '@dbops/runtime/connection'
import { registerSecret } from '@dbops/runtime/redact'
import type { Context } from './command.ts'
import { Failed } from './fail.ts'

export async function migrateLedger({ options, print }: Context): Promise<void> {
  const url = (options.config && serviceUrl(readConfig(options.config), 'ledger')) || process.env['DBOPS_LEDGER_URL']
  if (!url)
    throw new Failed('unreachable', 'no ledger is named', { hint: 'DBOPS_LEDGER_URL, with the login that owns it, or --config FILE' })
  registerSecret(url)
  // As services that own the ledger do at their start.
  const ledger = await openLedger({ url, name: `cli:${process.pid}`, sessions: 1 })
  try {
    const { migrated: applied } = ledger
    const services = await grantServices(ledger)
    const all = await appliedMigrations(ledger)
    print.record({ applied, migrations: all.length, services })
    print.line(applied.length ? `applied ${applied.join(', ')}` : `nothing was missing: ${all.length} migrations`)
    print.line(
      services
        ? `services are the members of ${services}: deploy/sql/ledger-roles.sql makes their logins`
        : 'this role may not make roles: an administrator makes the group of the services, see deploy/sql/ledger-roles.sql',
    )
  } finally {
    await ledger.close()
  }
}
