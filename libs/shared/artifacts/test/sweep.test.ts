import { statSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '@dbops/testing/until'
import { describe, expect, test } from 'vitest'
import { readManifest } from '../src/manifest.ts'
import { placeOf } from '../src/place.ts'
import type { Store } from '../src/store.ts'
import { findLeftovers, type SweepScope, sweepLeftovers, voidAndSweep, voidKept } from '../src/sweep.ts'
import { startChild } from './child.ts'
import { chunks, codeOf, freshStore, parts, paths, sealed, voidNote, written } from './fresh-store.ts'

const at = new Date('2026-11-01T06:00:00Z')
const sweeper = { by: '2', at, reason: 'superseded' }

describe('voidAndSweep', () => {
  test('removes what a writer left that was killed midway, and leaves the note', async () => {
    const { store, root } = await freshStore()
    const place = placeOf(parts())
    const child = startChild('write-for-ever.ts', root, place)
    await until('half a dump', () => statSync(join(root, place, 'metadata.dump')).size > 500_000)
    child.kill('SIGKILL')
    await until('its end', () => child.signalCode)
    const swept = await voidAndSweep(store, place, sweeper)
    expect([swept, await paths(store), await readManifest(store, place)]).toEqual([
      { files: 2, bytes: expect.any(Number) },
      [`${place}/manifest.json`],
      { void: { void: true, by: '2', at: at.toISOString(), reason: 'superseded' } },
    ])
  })

  test('touches nothing where a manifest stands', async () => {
    const { store } = await freshStore()
    const { place } = await sealed(store)
    expect([await voidAndSweep(store, place, sweeper), await paths(store)]).toEqual([
      'sealed',
      [`${place}/manifest.json`, `${place}/metadata.dump`],
    ])
  })

  test('touches nothing where a damaged manifest stands', async () => {
    const { store } = await freshStore()
    const place = placeOf(parts())
    await written(store, place)
    await store.putExclusive(`${place}/manifest.json`, '{"formatVersion": 1')
    expect([await voidAndSweep(store, place, sweeper), (await paths(store)).length]).toEqual(['damaged', 2])
  })

  test('takes the name of a place that has no files yet', async () => {
    const { store } = await freshStore()
    const place = placeOf(parts())
    expect([await voidAndSweep(store, place, sweeper), await paths(store)]).toEqual([{ files: 0, bytes: 0 }, [`${place}/manifest.json`]])
  })

  test('goes on where an earlier sweep died after each of its steps', async () => {
    const { store } = await freshStore()
    const left: string[] = []
    for (const steps of [0, 1, 2, 3]) {
      const place = placeOf(parts())
      await written(store, place, { a: '1', b: '2', 'parts/c': '3' })
      await codeOf(voidAndSweep(dyingAfter(steps, store), place, sweeper))
      await voidAndSweep(store, place, sweeper)
      left.push(...(await paths(store, place)).map(path => path.slice(place.length)))
    }
    expect(left).toEqual(Array.from({ length: 4 }, () => '/manifest.json'))
  })
})

describe('sweepLeftovers', () => {
  test('deletes what has no manifest, is old and is not live; and that alone', async () => {
    const { store } = await freshStore()
    const live = placeOf(parts({ target: 'a', fence: 5 }))
    const dead = placeOf(parts({ target: 'b', fence: 4 }))
    await written(store, live)
    await written(store, dead)
    const kept = await sealed(store, { target: 'c' })
    await store.put('notes/README.txt', chunks('not ours'))
    await store.put('test/postgres/core/dump/by-hand.dump', chunks('not ours'))
    const swept = await Array.fromAsync(sweepLeftovers(store, scope({ isLive: async (_, fence) => fence === 5 })))
    expect([swept.map(({ place }) => place), await paths(store)]).toEqual([
      [dead],
      [
        'notes/README.txt',
        `${live}/metadata.dump`,
        `${dead}/manifest.json`,
        `${kept.place}/manifest.json`,
        `${kept.place}/metadata.dump`,
        'test/postgres/core/dump/by-hand.dump',
      ],
    ])
  })

  test('leaves what was written a moment ago', async () => {
    const { store } = await freshStore()
    await written(store, placeOf(parts()))
    expect(await Array.fromAsync(sweepLeftovers(store, scope({ olderThan: new Date(Date.now() - 60_000) })))).toEqual([])
  })

  test('deletes nothing when nobody can say what is live', async () => {
    const { store } = await freshStore()
    await written(store, placeOf(parts()))
    const unknown = async () => {
      throw new Error('the ledger is away')
    }
    await codeOf(Array.fromAsync(sweepLeftovers(store, scope({ isLive: unknown }))))
    expect((await paths(store)).length).toBe(1)
  })

  test('the dry run lists, with reasons, what the sweep then deletes', async () => {
    const { store } = await freshStore()
    const dead = placeOf(parts({ target: 'a', fence: 4 }))
    const reopened = placeOf(parts({ target: 'b', fence: 5 }))
    await written(store, dead)
    await store.putExclusive(`${reopened}/manifest.json`, voidNote)
    await written(store, reopened)
    const listed = await Array.fromAsync(findLeftovers(store, scope()))
    const before = (await paths(store)).length
    const deleted = await Array.fromAsync(sweepLeftovers(store, scope()))
    expect({
      before,
      after: (await paths(store)).length,
      same: deleted,
      reasons: listed.map(({ reason }) => reason.replace(/\d{4}-\S+Z/, 'T')),
    }).toEqual({
      before: 3,
      after: 2,
      same: listed,
      reasons: ['no manifest, fence 4 is not live, last written T', 'void since T and not empty: superseded'],
    })
  })

  test('a void place goes altogether after seven days, not before', async () => {
    const { store } = await freshStore()
    await voidAndSweep(store, placeOf(parts()), sweeper)
    const nearly = new Date(Date.now() + voidKept - 60_000)
    const early = await Array.fromAsync(sweepLeftovers(store, scope({ now: nearly, olderThan: nearly })))
    const late = new Date(Date.now() + voidKept + 60_000)
    const whole = await Array.fromAsync(sweepLeftovers(store, scope({ now: late, olderThan: late })))
    expect([early.length, whole.map(leftover => leftover.whole), await paths(store)]).toEqual([0, [true], []])
  })

  test('a place that is sealed between the look and the deletion stays', async () => {
    const { store } = await freshStore()
    const place = placeOf(parts())
    await written(store, place)
    const sealing = async () => !(await store.putExclusive(`${place}/manifest.json`, '{"formatVersion": 9}'))
    expect([await Array.fromAsync(sweepLeftovers(store, scope({ isLive: sealing }))), (await paths(store)).length]).toEqual([[], 2])
  })
})

const scope = (more: Partial<SweepScope> = {}): SweepScope => ({
  prefix: '',
  isLive: async () => false,
  olderThan: new Date(Date.now() + 60_000),
  by: 'sweep',
  now: new Date(),
  ...more,
})

/** The same store for a process that is killed before its n-th change. */
function dyingAfter(changes: number, store: Store): Store {
  let left = changes
  const step = <T>(change: () => Promise<T>) => (left-- > 0 ? change() : Promise.reject(new Error('killed')))
  const dying = Object.create(store) as Store
  return Object.assign(dying, {
    list: (folder: string) => store.list(folder),
    read: (path: string, limit: number) => store.read(path, limit),
    putExclusive: (path: string, content: string) => step(() => store.putExclusive(path, content)),
    remove: (path: string) => step(() => store.remove(path)),
  })
}
