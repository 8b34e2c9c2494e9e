// The processes of the system, as they report themselves: alive, ready, of which version and catalogue.
import { catalogHash } from '@dbops/catalog/catalog'
import { parseDuration } from '@dbops/contract/duration'
import type { Queryable } from '@dbops/ledger/ledger'
import { listServices } from '@dbops/ledger/services'
import type { Config } from '@dbops/runtime/config'
import type { Context } from './command.ts'
import { ago, type Colour } from './print.ts'

/** Of a process that fell silent longer ago (ms), nothing is said any more. */
const forgotten = 600_000

export interface Worker {
  name: string
  app: string
  version: string
  catalogHash: string
  /** Whether its catalogue of tasks is that of this program. */
  sameCatalog: boolean
  ready: boolean
  /** Why it is not ready; `silent` for a process that ended without a word. */
  reasons: string[]
  address: string | null
  startedAt: Date
  seenAt: Date
  /** Seconds since it was last heard of. */
  age: number
  /** Runs at a time, per lane; empty for a service that takes none. */
  lanes: Record<string, number>
  /** What its role in the ledger may do and a service does not need. */
  excess: string[]
  /** As whom it is logged in to the operations Redis, and what that user may do and it does not need; null where Redis could not be asked. */
  redisRights: { user: string; excess: string[] } | null
}

/** Those of the last ten minutes, by app. One that was not heard of for a lease is silent, and not ready. */
export async function listWorkers(db: Queryable, config?: Config): Promise<Worker[]> {
  const lease = parseDuration(config?.timers.lease ?? '30s')
  return (await listServices(db, forgotten)).map(({ detail, age, ready, reasons, ...s }) => {
    const silent = age * 1_000 > lease
    return {
      name: s.name,
      app: s.app,
      version: s.version,
      catalogHash: s.catalogHash,
      sameCatalog: s.catalogHash === catalogHash,
      ready: ready && !silent,
      reasons: silent ? ['silent: the process has ended without a word, or cannot reach the ledger'] : reasons,
      address: s.address,
      startedAt: s.startedAt,
      seenAt: s.seenAt,
      age: Math.round(age * 10) / 10,
      lanes: (detail['lanes'] as Record<string, number> | undefined) ?? {},
      excess: (detail['excess'] as string[] | undefined) ?? [],
      redisRights: (detail['redisRights'] as Worker['redisRights'] | undefined) ?? null,
    }
  })
}

export const isSilent = (w: Pick<Worker, 'reasons'>) => w.reasons.some(reason => reason.startsWith('silent'))
/** Without those that fell silent and have a living successor: a killed process that was started again is no trouble any more. */
export const withoutGhosts = (all: Worker[]) =>
  all.filter(one => !isSilent(one) || !all.some(other => other.app === one.app && !isSilent(other)))
export const readyWords = (w: Pick<Worker, 'ready' | 'reasons'>) => (w.ready ? 'ready' : isSilent(w) ? 'silent' : 'not ready')
export const readyColour = (w: Pick<Worker, 'ready' | 'reasons'>): Colour => (w.ready ? 'green' : isSilent(w) ? 'red' : 'yellow')

export async function workers({ print, connect }: Context): Promise<void> {
  const { ledger, environment, config } = await connect()
  const now = await ledger.now()
  const all = await listWorkers(ledger, config)
  print.environment(environment)
  print.rows(
    all,
    [
      { head: 'service', of: w => w.name },
      { head: 'state', of: w => readyWords(w), colour: w => readyColour(w) },
      { head: 'heard', wide: true, of: w => `${ago(w.seenAt, now)} ago` },
      { head: 'up', wide: true, of: w => ago(w.startedAt, now), right: true },
      { head: 'version', wide: true, of: w => w.version },
      {
        head: 'catalogue',
        of: w => `${w.catalogHash}${w.sameCatalog ? '' : ' differs'}`,
        colour: w => (w.sameCatalog ? undefined : 'yellow'),
      },
      {
        head: 'lanes',
        of: w =>
          Object.entries(w.lanes)
            .map(([lane, n]) => `${lane} ${n}`)
            .join(', '),
      },
    ],
    'no service was heard of in the last ten minutes; ./dbops up starts them',
  )
  for (const { name, reasons } of all) for (const reason of reasons) print.line(print.colour('yellow', `${name}: ${reason}`))
  if (all.some(({ sameCatalog }) => !sameCatalog))
    print.line(
      print.colour(
        'yellow',
        `this program has catalogue ${catalogHash}: services that differ know other tasks; deploy the same version everywhere`,
      ),
    )
}
