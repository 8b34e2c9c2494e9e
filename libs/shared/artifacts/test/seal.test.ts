import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findSealed } from '../src/adopt.ts'
import { readManifest } from '../src/manifest.ts'
import { placeOf, placeOfRun } from '../src/place.ts'
import { voidAndSweep } from '../src/sweep.ts'
import { artifactWriter } from '../src/writer.ts'
import { chunks, codeOf, freshStore, headOf, parts, paths, sealed, text, voidNote, written } from './fresh-store.ts'

const sweeper = { by: '2', at: new Date('2026-11-01T06:00:00Z'), reason: 'superseded' }

describe('seal', () => {
  test('lets exactly one of ten sealers have the place, and a repeated call of the winner hears the same', async () => {
    const { store } = await freshStore()
    const place = placeOf(parts())
    const { files } = await written(store, place)
    const contenders = Array.from({ length: 10 }, () => ({
      writer: artifactWriter(store, place),
      manifest: { ...headOf(place), facts: {}, files: [...files] },
    }))
    const answers = await Promise.all(contenders.map(({ writer, manifest }) => writer.seal(manifest)))
    const again = await Promise.all(contenders.map(({ writer, manifest }) => writer.seal(manifest)))
    expect([answers.filter(answer => answer === 'sealed').length, again]).toEqual([1, answers])
  })

  test('a sleeper that wakes after its place was swept is told that it is taken', async () => {
    const { store } = await freshStore()
    const place = placeOf(parts())
    const sleeper = await written(store, place)
    const manifest = sleeper.manifest(headOf(place))
    await voidAndSweep(store, place, sweeper)
    expect([await sleeper.seal(manifest), await paths(store)]).toEqual(['taken', [`${place}/manifest.json`]])
  })

  test('a sleeper that wakes between the note and the deletion is told that it is taken', async () => {
    const { store } = await freshStore()
    const place = placeOf(parts())
    const sleeper = await written(store, place)
    await store.putExclusive(`${place}/manifest.json`, voidNote)
    expect(await sleeper.seal(sleeper.manifest(headOf(place)))).toBe('taken')
  })

  test('and sweep, at the same time, either keep all or nothing', async () => {
    const { store } = await freshStore()
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, async () => {
        const place = placeOf(parts())
        const writer = await written(store, place)
        const manifest = writer.manifest(headOf(place))
        const [seal, sweep] = await Promise.all([writer.seal(manifest), voidAndSweep(store, place, sweeper)])
        const left = (await paths(store, place)).length
        return `${seal}, ${sweep === 'sealed' ? 'sealed' : 'swept'}, ${left} left`
      }),
    )
    expect(outcomes.filter(outcome => outcome !== 'sealed, sealed, 2 left' && outcome !== 'taken, swept, 1 left')).toEqual([])
  })

  test('is refused when a file has another size than was written', async () => {
    const { store, root } = await freshStore()
    const place = placeOf(parts())
    const writer = await written(store, place)
    await writeFile(join(root, place, 'metadata.dump'), 'cut')
    expect([await codeOf(writer.seal(writer.manifest(headOf(place)))), await readManifest(store, place)]).toEqual([
      'artifact_incomplete',
      'none',
    ])
  })

  test('closes the place to further files, and the name of the manifest is no task’s', async () => {
    const { store } = await freshStore()
    const place = placeOf(parts())
    const writer = await written(store, place)
    const early = await codeOf(writer.write('manifest.json', chunks('{}')))
    await writer.seal(writer.manifest(headOf(place)))
    expect([early, await codeOf(writer.write('late', chunks('x')))]).toEqual(['artifact_misuse', 'artifact_misuse'])
  })

  test('a file can be read back before it', async () => {
    const { store } = await freshStore()
    const writer = await written(store, placeOf(parts()))
    expect(await text(writer.read('metadata.dump'))).toBe('rows')
  })
})

describe('findSealed', () => {
  test('finds the sealed place among the fences of its run, and no other run’s', async () => {
    const { store } = await freshStore()
    const run = parts()
    await written(store, placeOf({ ...run, fence: 3 }))
    const found = await sealed(store, { ...run, fence: 9 })
    await voidAndSweep(store, placeOf({ ...run, fence: 12 }), sweeper)
    await sealed(store)
    expect(await findSealed(store, placeOfRun(run))).toEqual(found)
  })

  test('takes the newest fence by number, not by spelling', async () => {
    const { store } = await freshStore()
    const run = parts()
    await sealed(store, { ...run, fence: 9 })
    const newest = await sealed(store, { ...run, fence: 10 })
    expect(await findSealed(store, placeOfRun(run))).toEqual(newest)
  })

  test('finds nothing where nothing was sealed', async () => {
    const { store } = await freshStore()
    const run = parts()
    await written(store, placeOf(run))
    expect(await findSealed(store, placeOfRun(run))).toBeUndefined()
  })

  test.each([
    ['has a flipped byte', 'rowz', 'metadata.dump has another checksum than when it was written'],
    ['was cut', 'row', 'metadata.dump has 3 bytes, not 4'],
  ])('does not adopt what %s, says so, and leaves it', async (_, content, fault) => {
    const { store, root } = await freshStore()
    const run = parts()
    const { place } = await sealed(store, run)
    await writeFile(join(root, place, 'metadata.dump'), content)
    const told: string[] = []
    const found = await findSealed(store, placeOfRun(run), { damaged: (at, problem) => told.push(at, problem.message) })
    expect([found, told, await paths(store)]).toEqual([
      undefined,
      [place, `the backup at ${store.location}/${place} is damaged: ${fault}`],
      [`${place}/manifest.json`, `${place}/metadata.dump`],
    ])
  })

  test('passes over a damaged newer one to a good older one', async () => {
    const { store } = await freshStore()
    const run = parts()
    const good = await sealed(store, { ...run, fence: 1 })
    await store.putExclusive(`${placeOf({ ...run, fence: 2 })}/manifest.json`, 'no JSON')
    const told: string[] = []
    const found = await findSealed(store, placeOfRun(run), { damaged: (_, problem) => told.push(problem.code) })
    expect([found, told]).toEqual([good, ['manifest_damaged']])
  })
})
