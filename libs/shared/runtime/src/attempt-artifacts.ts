// What an attempt leaves in a store: sealed, adopted from a dead predecessor, or voided and swept so that nobody can seal it any more.
import { findSealed } from '@dbops/artifacts/adopt'
import type { Manifest } from '@dbops/artifacts/manifest'
import { placeOf, placeOfRun, placesIn } from '@dbops/artifacts/place'
import { voidAndSweep } from '@dbops/artifacts/sweep'
import type { ArtifactWriter } from '@dbops/artifacts/writer'
import type { Engine } from '@dbops/contract/names'
import type { Sealed } from '@dbops/ledger/artifacts'
import { fenceOf } from '@dbops/ledger/runs'
import { v7 as uuidv7 } from 'uuid'
import { type Attempt, superseded, untilLedger } from './attempt.ts'
import type { RunLog } from './run-log.ts'
import { sealedRow } from './sealed-row.ts'

export interface Adopted {
  manifest: Manifest
  sealed: Sealed
}

const ofRun = <V>({ service, run, task }: Attempt<V>) => ({
  environment: service.config.environment,
  engine: run.engine as Engine,
  target: run.target!,
  kind: task.produces!,
  bornAt: new Date(run.spec.recovers?.bornAt ?? run.queuedAt),
  run: run.spec.recovers?.run ?? run.id,
})

/** The place of this attempt; of another fence of the same run where one is named. */
export const placeOfAttempt = <V>(a: Attempt<V>, fence = a.run.fence!): string => placeOf({ ...ofRun(a), fence })

/** Seals what the attempt has written. From here on the backup exists, whatever becomes of this process. */
export async function seal<V>(
  a: Attempt<V>,
  writer: ArtifactWriter,
  result: Record<string, unknown>,
  evidence: Record<string, unknown>,
): Promise<Sealed> {
  const { run, task } = a
  const manifest = writer.manifest({
    formatVersion: 1,
    id: uuidv7(),
    task: task.name,
    operation: run.operation,
    // The entry of the configuration that the run was given, by its name.
    name: Object.keys(run.spec.entries).map(param => String(run.spec.params[param]))[0] ?? run.operation,
    fence: run.fence!,
    ...ofRun(a),
    bornAt: run.queuedAt.toISOString(),
    startedAt: (run.attemptAt ?? new Date()).toISOString(),
    finishedAt: new Date().toISOString(),
    actor: run.actor,
    result,
    evidence,
  })
  await a.lease.guard()
  if ((await writer.seal(manifest)) === 'taken') throw superseded()
  return sealedRow(await a.store(), writer.place, manifest)
}

/** The whole and verified backup that an earlier attempt of this run sealed before it died. */
export async function adoptEarlier<V>(a: Attempt<V>, log: RunLog): Promise<Adopted | undefined> {
  const store = await a.store()
  const found = await findSealed(store, placeOfRun(ofRun(a)), {
    signal: a.abort.signal,
    damaged: (place, problem) => log.add('error', `${store.location}/${place} is sealed and damaged: ${problem.message}`),
  })
  if (!found) return undefined
  log.add('info', `adopted the backup that fence ${found.manifest.fence} had sealed`)
  return { manifest: found.manifest, sealed: sealedRow(store, found.place, found.manifest) }
}

/** After a failure in this process: nobody can seal this attempt's place any more, and its files go. Throws when it turns out to be sealed: then a recovery adopts it. */
export async function sweepOwn<V>(a: Attempt<V>, log: RunLog): Promise<void> {
  let found: Awaited<ReturnType<typeof voidAndSweep>>
  try {
    found = await voidAndSweep(await a.store(), placeOfAttempt(a), {
      by: String(a.run.fence),
      at: new Date(),
      reason: 'its attempt failed',
    })
  } catch (error) {
    // Nothing depends on it: what has no manifest is no backup, and the periodic sweep comes by. The failure itself must be told.
    log.add('warning', `the files of this attempt stay for the next sweep: ${(error as Error).message}`)
    return
  }
  if (found === 'sealed') throw new Error('its manifest is sealed after all, so it is a backup')
}

/** After a lost attempt: adopts what it sealed, else voids and sweeps every place of its run, the lost fence's also when it is not there yet. */
export async function recoverPlaces<V>(a: Attempt<V>, log: RunLog): Promise<Adopted | undefined> {
  const adopted = await adoptEarlier(a, log)
  if (adopted) return adopted
  const store = await a.store()
  const fence = await untilLedger(a, () => fenceOf(a.service.ledger, ofRun(a).run))
  const places = new Set(fence === null ? [] : [placeOfAttempt(a, fence)])
  for await (const { place } of placesIn(store, placeOfRun(ofRun(a)))) places.add(place)
  for (const place of places) {
    await a.lease.guard()
    const swept = await voidAndSweep(store, place, { by: String(a.run.fence), at: new Date(), reason: 'its attempt was lost' })
    // Sealed while we were looking: then it is a backup after all.
    if (swept === 'sealed') return adoptEarlier(a, log)
    if (swept !== 'damaged' && swept.files) log.add('info', `swept ${swept.files} files (${swept.bytes} bytes) of a lost attempt`)
  }
  return undefined
}
