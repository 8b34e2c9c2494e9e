import { createHash } from 'node:crypto'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { mkdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { failureOf } from '@dbops/contract/failure'
import { until } from '@dbops/testing/until'
import { describe, expect, test } from 'vitest'
import { openStore } from '../src/open-store.ts'
import { canMount, runInMount, startChild } from './child.ts'
import { chunks, codeOf, freshFolder, freshStore, paths, storeIn, text } from './fresh-store.ts'

describe('put', () => {
  test('stores what the source yields and says how much it was and its checksum', async () => {
    const { store, root } = await freshStore()
    const written = await store.put('a/b/file.dump', chunks('one ', 'two ', 'three'))
    const onDisk = await readFile(join(root, 'a/b/file.dump'))
    expect(written).toEqual({ bytes: onDisk.byteLength, sha256: createHash('sha256').update('one two three').digest('hex') })
  })

  test('never overwrites', async () => {
    const { store } = await freshStore()
    await store.put('a/file', chunks('first'))
    const second = await codeOf(store.put('a/file', chunks('second')))
    expect([second, await text(store.get('a/file'))]).toEqual(['file_exists', 'first'])
  })

  test("passes on a source's own error and keeps nothing", async () => {
    const { store } = await freshStore()
    const broken = new Error('pg_dump ended with 1')
    async function* source() {
      yield Buffer.from('half')
      throw broken
    }
    const thrown: unknown = await store.put('a/file', source()).catch((error: unknown) => error)
    expect([thrown, await paths(store)]).toEqual([broken, []])
  })

  test('leaves a source that hangs as soon as the signal aborts, and keeps nothing', async () => {
    const { store, root } = await freshStore()
    const abort = new AbortController()
    async function* source() {
      yield Buffer.from('half')
      await new Promise(() => {})
    }
    const putting = store.put('a/file', source(), abort.signal).catch((error: unknown) => error)
    await until('the first chunk on disk', () => statSync(join(root, 'a/file')).size === 4)
    abort.abort(new Error('cancelled'))
    expect([await putting, await paths(store)]).toEqual([new Error('cancelled'), []])
  })

  test('holds one chunk of a 300 MB stream at a time', async () => {
    const { store, root } = await freshStore()
    const size = 65_536
    const total = 300_000_000 - (300_000_000 % size)
    let produced = 0
    let most = 0
    let mostBuffers = 0
    const source = new Readable({
      highWaterMark: size,
      read() {
        if (produced === total) return void this.push(null)
        produced += size
        const file = join(root, 'big')
        most = Math.max(most, produced - (existsSync(file) ? statSync(file).size : 0))
        mostBuffers = Math.max(mostBuffers, process.memoryUsage().arrayBuffers)
        this.push(Buffer.alloc(size))
      },
    })
    const before = process.memoryUsage().arrayBuffers
    // A signal that lives long, as the run's does: it must not hold on to the chunks that it watched over.
    const { bytes } = await store.put('big', source, new AbortController().signal)
    expect({ bytes, inHand: most <= 4 * size, heldBack: mostBuffers - before < total / 3 }).toEqual({
      bytes: total,
      inHand: true,
      heldBack: true,
    })
  })

  test('goes on when a sweep takes the empty folder away under it', async () => {
    const { store } = await freshStore()
    const putAndRemove = async (name: string) => {
      for (let round = 0; round < 60; round++) {
        await store.put(`a/b/c/${name}`, chunks('x'))
        await store.remove(`a/b/c/${name}`)
      }
    }
    await Promise.all(['one', 'two', 'three', 'four'].map(putAndRemove))
    expect(await paths(store)).toEqual([])
  })
})

describe('putExclusive', () => {
  test('lets exactly one of twenty have the name, whole', async () => {
    const { store } = await freshStore()
    const results = await Promise.all(Array.from({ length: 20 }, async (_, n) => (await store.putExclusive('a/name', `${n}`)) && `${n}`))
    expect(results.filter(Boolean)).toEqual([await text(store.get('a/name'))])
  })

  test('leaves no part of a file under its name when the process is killed', async () => {
    const { store, root } = await freshStore()
    const bytes = 20_000_000
    const child = startChild('seal-for-ever.ts', root, String(bytes))
    await until(
      'a second file that is being written',
      () => existsSync(join(root, 'sealed/1')) && readdirSync(join(root, '.drafts')).length > 1,
    )
    child.kill('SIGKILL')
    await until('its end', () => child.signalCode)
    const sizes = new Set((await Array.fromAsync(store.list(''))).map(file => file.bytes))
    expect(sizes).toEqual(new Set([bytes]))
  })

  test('clears away the drafts of the dead after a day', async () => {
    const { store, root } = await freshStore()
    for (const name of ['old', 'young']) await writeFile(join(root, '.drafts', name), 'draft')
    await utimes(join(root, '.drafts/old'), 0, 0)
    await store.putExclusive('a/name', 'content')
    expect(readdirSync(join(root, '.drafts'))).toEqual(['ballast', 'young'])
  })
})

describe('paths', () => {
  test.each([
    '../outside',
    'a/../../outside',
    '/etc/passwd',
    'a//b',
    '',
    '.',
    '.drafts/x',
    'a/',
    'a\\b',
    'a\0b',
    'a b',
    '$(id)',
    '-rf',
    'ä',
  ])('%j is refused', async path => {
    const { store } = await freshStore()
    const codes = await Promise.all([
      codeOf(store.put(path, chunks('x'))),
      codeOf(store.putExclusive(path, 'x')),
      codeOf(text(store.get(path))),
      codeOf(store.read(path, 10)),
      codeOf(store.remove(path)),
    ])
    expect(codes).toEqual(Array.from({ length: 5 }, () => 'bad_path'))
  })

  test('a link inside the store is not followed', async () => {
    const { store, root } = await freshStore()
    const outside = await freshFolder()
    await writeFile(join(outside, 'file'), 'theirs')
    await symlink(outside, join(root, 'link'))
    await symlink(join(outside, 'file'), join(root, 'linked'))
    const codes = await Promise.all([
      codeOf(store.put('link/new', chunks('x'))),
      codeOf(store.putExclusive('link/new', 'x')),
      codeOf(store.remove('link/file')),
      codeOf(text(store.get('linked'))),
    ])
    expect([codes, await paths(store), readdirSync(outside)]).toEqual([
      ['store_unavailable', 'store_unavailable', 'store_unavailable', 'file_missing'],
      [],
      ['file'],
    ])
  })
})

describe('list, read and remove', () => {
  test('lists the files below a folder, those of one folder together', async () => {
    const { store } = await freshStore()
    for (const path of ['b/1/y', 'a/2', 'b/1/x', 'b/10/z', 'b-c/w']) await store.put(path, chunks('12345'))
    expect(await paths(store, 'b')).toEqual(['b/1/x', 'b/1/y', 'b/10/z'])
  })

  test('a folder that is not there has no files, but a store that is not there is an error', async () => {
    const { store, root } = await freshStore()
    const none = await paths(store, 'nothing/here')
    await rm(root, { recursive: true })
    expect([none, await codeOf(paths(store))]).toEqual([[], 'store_unavailable'])
  })

  test('refuses to read more than the limit', async () => {
    const { store } = await freshStore()
    await store.put('file', chunks('12345'))
    expect([(await store.read('file', 5)).byteLength, await codeOf(store.read('file', 4))]).toEqual([5, 'file_too_large'])
  })

  test('removing takes the empty folders along, and what is gone is no error', async () => {
    const { store, root } = await freshStore()
    await store.put('a/b/one', chunks('1'))
    await store.put('a/two', chunks('2'))
    await store.remove('a/b/one')
    await store.remove('a/b/one')
    expect(readdirSync(join(root, 'a'))).toEqual(['two'])
  })

  test('a file that is missing is told with its place', async () => {
    const { store } = await freshStore()
    const failure = failureOf(await store.read('a/file', 10).catch((error: unknown) => error))
    expect(failure).toEqual({
      code: 'file_missing',
      message: `${store.location}/a/file is not there`,
      hint: 'it was removed, or never written',
    })
  })
})

describe('a store that cannot be used', () => {
  test('because its folder is missing is refused by name, and the folder is not created', async () => {
    const folder = join(await freshFolder(), 'nfs')
    const failure = failureOf(await storeIn(folder).catch((error: unknown) => error))
    expect([failure, existsSync(folder)]).toEqual([
      {
        code: 'store_unavailable',
        message: `store "main" (${pathToFileURL(folder).href}) cannot be used: the folder does not exist`,
        hint: 'create it, or mount the disk that holds it: it is never created for you',
      },
      false,
    ])
  })

  test('because it is a file is refused', async () => {
    const file = join(await freshFolder(), 'file')
    await writeFile(file, '')
    const failure = failureOf(await storeIn(file).catch((error: unknown) => error))
    expect([failure.code, failure.message]).toEqual(['store_unavailable', expect.stringContaining('it is no folder')])
  })

  test('because its mount has gone says so at the next write, and does not write elsewhere', async () => {
    const { store, root } = await freshStore()
    await rm(root, { recursive: true })
    expect([await codeOf(store.put('a/file', chunks('x'))), existsSync(root)]).toEqual(['store_unavailable', false])
  })

  test.skipIf(!canMount)('because it is mounted read-only is refused', async () => {
    const failure = await runInMount('ro', await freshFolder(), 'open-store.ts')
    expect(failure).toEqual({
      code: 'store_unavailable',
      message: expect.stringContaining('we may not write there (EROFS)'),
      hint: expect.stringContaining('the right to read and write the folder'),
    })
  })

  test.each([
    ['s3://axiom-backups', 'store_scheme_unknown'],
    ['ftp://host/folder', 'store_scheme_unknown'],
    ['/var/backups', 'store_url_invalid'],
    ['file://host/folder', 'store_url_invalid'],
    ['file:///folder?x=1', 'store_url_invalid'],
    ['file:///folder%2Fother', 'store_url_invalid'],
  ])('because its URL is %s is refused', async (url, code) => {
    expect(await codeOf(openStore('main', { url, free: '1GiB' }))).toBe(code)
  })

  test('because nobody built its kind says what is built', async () => {
    const failure = failureOf(await openStore('copy', { url: 's3://bucket', free: '1GiB' }).catch((error: unknown) => error))
    expect(failure).toEqual({
      code: 'store_scheme_unknown',
      message: 'store "copy": there is no kind of store for s3://',
      hint: 'built: file://; write file:///absolute/folder',
    })
  })
})

test.skipIf(!canMount)('a full store refuses, removes the half-written file, and can still be swept', async () => {
  const folder = await freshFolder()
  const place = 'test/postgres/core/dump/20261101T050000Z-0198c0de-0000-7000-8000-000000000001/1'
  const seen = await runInMount('size=2m', folder, 'fill-store.ts', place)
  expect(seen).toEqual({
    demanded: {
      code: 'store_full',
      message: `store "main" (${pathToFileURL(folder).href}) has 1.9 MiB left; 1.4 MiB are needed and 1.0 MiB must stay free`,
      hint: 'make room there, or lower stores.main.free',
    },
    failed: {
      code: 'store_full',
      message: `store "main" (${pathToFileURL(folder).href}) is full: 0 B left while ${place}/metadata.dump was written`,
      hint: 'make room there, or give the store a larger disk; what was half written has been removed',
    },
    afterFailure: [],
    freeBefore: 0,
    swept: { files: 1, bytes: 2_031_616 },
    left: [`${place}/manifest.json`],
    note: { void: { void: true, by: '2', at: '2026-11-01T06:00:00.000Z', reason: 'superseded' } },
  })
})

test('a store with a space in its folder works', async () => {
  const folder = join(await freshFolder(), 'my backups')
  await mkdir(folder)
  const store = await storeIn(folder)
  await store.put('a/file', chunks('x'))
  expect([await paths(store), store.location]).toEqual([['a/file'], pathToFileURL(folder).href])
})
