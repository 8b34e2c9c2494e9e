// Makes a ledger that was restored from a dump fit to work with: what was given away since the dump is not given again, what was sealed since then is listed.
import { readManifest } from '@dbops/artifacts/manifest'
import { openStore } from '@dbops/artifacts/open-store'
import { placesIn } from '@dbops/artifacts/place'
import { Refused } from '@dbops/contract/failure'
import { recordArtifact, type Sealed } from '@dbops/ledger/artifacts'
import { recordDeed } from '@dbops/ledger/audit'
import { setFencesAhead } from '@dbops/ledger/restored'
import { listServices } from '@dbops/ledger/services'
import type { Config } from '@dbops/runtime/config'
import { sealedRow } from '@dbops/runtime/sealed-row'
import type { Context } from './command.ts'
import { Failed } from './fail.ts'

/** A service that was heard of within this (ms) is taken for one that works on this ledger. */
const heardOf = 60_000

export async function ledgerRestored({ print, connect, confirm }: Context): Promise<void> {
  const { ledger, environment, config, actor, owns } = await connect()
  if (!owns) throw new Refused('only the role that owns the ledger may do that', { hint: 'use the URL that the services use' })
  if (!config)
    throw new Failed('wrong', 'the stores are not known here', {
      code: 'bad_argument',
      hint: 'name the configuration of the services: --config FILE',
    })
  const living = await listServices(ledger, heardOf)
  if (living.length)
    throw new Refused(`${living.map(({ name }) => name).join(', ')} ${living.length === 1 ? 'works' : 'work'} on this ledger`, {
      hint: 'stop every service first; it is asked again a minute after the last',
    })
  await confirm(environment, 'set the fences of this ledger ahead and list every sealed backup of the stores')
  const { found, highest, damaged } = await look(config)
  const { fence, listed } = await ledger.transaction(async db => {
    let listed = 0
    for (const backup of found) listed += (await recordArtifact(db, backup)).rowCount ?? 0
    const fence = await setFencesAhead(db, highest)
    await recordDeed(db, { actor, action: 'restored', subject: 'ledger', detail: { fence, listed, damaged } })
    return { fence, listed }
  })
  print.environment(environment)
  print.record({ fence, listed, sealed: found.length, damaged })
  print.line(`the next fences are beyond ${fence}; the highest that a store knows is ${highest}`)
  print.line(`${listed} of ${found.length} sealed backups were not listed, and are now`)
  for (const place of damaged) print.line(print.colour('red', `${place}: its manifest cannot be read; it is not listed`))
  print.line(print.colour('dim', 'now start the services; docs/operate/ledger-lost.md says what they do first'))
}

/** Every sealed backup of this environment, and the highest fence that left anything in a store. */
async function look({ stores, environment }: Config) {
  const found: Sealed[] = []
  const damaged: string[] = []
  let highest = 0
  for (const [name, config] of Object.entries(stores)) {
    const store = await openStore(name, config)
    for await (const { place, parts } of placesIn(store, environment)) {
      highest = Math.max(highest, parts.fence)
      try {
        const read = await readManifest(store, place)
        if (read !== 'none' && 'manifest' in read) found.push(sealedRow(store, place, read.manifest))
      } catch {
        damaged.push(`${store.location}/${place}`)
      }
    }
  }
  return { found, highest, damaged }
}
