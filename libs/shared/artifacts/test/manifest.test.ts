import { expect, test } from 'vitest'
import { listBackups } from '../src/catalogue.ts'
import { manifestFile, readManifest } from '../src/manifest.ts'
import { placeOf } from '../src/place.ts'
import { artifactWriter } from '../src/writer.ts'
import { chunks, codeOf, freshStore, headOf, parts, sealed, text, voidNote, written } from './fresh-store.ts'

const manifestOf = (place: string) => `${place}/${manifestFile}`

test('a sealed manifest says who, what, the files and what the task described', async () => {
  const { store } = await freshStore()
  const place = placeOf(parts())
  const writer = await written(store, place, { 'metadata.dump': 'rows', 'globals.sql': 'roles' })
  writer.describe({ server: { version: '15.14' }, tables: [{ table: 'core.users', rows: 3 }], wal: { lsn: 12n } })
  writer.describe({
    server: { systemIdentifier: '7' },
    tables: [{ table: 'core.tenants', rows: 1 }],
    restore: ['pg_restore -d "$TARGET" metadata.dump'],
  })
  const head = headOf(place)
  await writer.seal(writer.manifest(head))
  expect(await readManifest(store, place)).toEqual({
    manifest: {
      ...head,
      server: { version: '15.14', systemIdentifier: '7' },
      tables: [
        { table: 'core.users', rows: 3 },
        { table: 'core.tenants', rows: 1 },
      ],
      restore: ['pg_restore -d "$TARGET" metadata.dump'],
      facts: { wal: { lsn: '12' } },
      files: [
        { file: 'metadata.dump', bytes: 4, sha256: expect.any(String) },
        { file: 'globals.sql', bytes: 5, sha256: expect.any(String) },
      ],
    },
  })
})

test('a malformed description is refused when it is given', async () => {
  const { store } = await freshStore()
  const writer = artifactWriter(store, placeOf(parts()))
  expect(await codeOf((async () => writer.describe({ tables: [{ table: 'core.users', rows: -1 }] }))())).toBe('manifest_invalid')
})

test('a backup without files is refused', async () => {
  const { store } = await freshStore()
  const place = placeOf(parts())
  const writer = artifactWriter(store, place)
  expect(await codeOf((async () => writer.manifest(headOf(place)))())).toBe('manifest_invalid')
})

test.each([
  ['empty', '', 'manifest_damaged'],
  ['no JSON', '{"formatVersion": 1, "id"', 'manifest_damaged'],
  ['a list', '[]', 'manifest_damaged'],
  ['null', 'null', 'manifest_damaged'],
  ['without a format', '{}', 'manifest_damaged'],
  ['half of what it must say', '{"formatVersion": 1}', 'manifest_damaged'],
  ['of a later format', '{"formatVersion": 2, "shape": "new"}', 'manifest_version_unknown'],
  ['17 MiB large', ' '.repeat(17 * 2 ** 20), 'manifest_damaged'],
])('a manifest that is %s is an error, and a listing goes on past it', async (_, content, code) => {
  const { store } = await freshStore()
  const before = await sealed(store, { target: 'a' })
  const broken = placeOf(parts({ target: 'b' }))
  await store.putExclusive(manifestOf(broken), content)
  const after = await sealed(store, { target: 'c' })
  const listed = (await Array.fromAsync(listBackups(store))).map(({ place, problem }) => [place, problem?.code])
  expect([await codeOf(readManifest(store, broken)), listed]).toEqual([
    code,
    [
      [before.place, undefined],
      [broken, code],
      [after.place, undefined],
    ],
  ])
})

test('a manifest that was copied to the place of another run is damaged', async () => {
  const { store } = await freshStore()
  const { place } = await sealed(store)
  const other = placeOf(parts())
  await store.putExclusive(manifestOf(other), await text(store.get(manifestOf(place))))
  expect(await codeOf(readManifest(store, other))).toBe('manifest_damaged')
})

test('a manifest whose files lead out of its place is damaged', async () => {
  const { store } = await freshStore()
  const { place, manifest } = await sealed(store)
  await store.remove(manifestOf(place))
  await store.putExclusive(manifestOf(place), JSON.stringify({ ...manifest, files: [{ ...manifest.files[0], file: '../../x' }] }))
  expect(await codeOf(readManifest(store, place))).toBe('manifest_damaged')
})

test('the catalogue holds what is sealed, and nothing else', async () => {
  const { store } = await freshStore()
  const { place, manifest } = await sealed(store, {}, { 'metadata.dump': 'rows', 'globals.sql': 'roles' })
  await written(store, placeOf(parts()))
  await store.putExclusive(manifestOf(placeOf(parts())), voidNote)
  await store.put('README.txt', chunks('not ours'))
  await store.put('test/postgres/core/other/manifest.json', chunks('not ours'))
  expect(await Array.fromAsync(listBackups(store))).toEqual([{ place, location: `${store.location}/${place}`, manifest, bytes: 9 }])
})

test('a sealed backup whose file is gone is listed as damaged', async () => {
  const { store } = await freshStore()
  const { place } = await sealed(store)
  await store.remove(`${place}/metadata.dump`)
  const [listed] = await Array.fromAsync(listBackups(store, 'test/postgres'))
  expect([listed?.place, listed?.problem?.message]).toEqual([
    place,
    `the backup at ${store.location}/${place} is damaged: metadata.dump is missing`,
  ])
})
