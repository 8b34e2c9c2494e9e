// The planted fault: away at once, back in time, and what was in it is still there.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { plantLateStore } from '../src/late-store.ts'

let home: string
let folder: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'dbops-late-'))
  folder = join(home, 'stores', 'late')
})
afterEach(() => rmSync(home, { recursive: true }))

const never = new AbortController().signal

test('a new store is not there at first, and then it is', async () => {
  const planted = plantLateStore(folder, 20, never)
  const before = existsSync(folder)
  await planted.there
  expect([before, existsSync(folder)]).toEqual([false, true])
})

test('a store with backups goes away and comes back with them', async () => {
  fill(folder)
  const planted = plantLateStore(folder, 20, never)
  const before = existsSync(folder)
  await planted.there
  expect([before, content(folder)]).toEqual([false, 'kept'])
})

test('an abort brings the store back at once', async () => {
  fill(folder)
  const abort = new AbortController()
  const planted = plantLateStore(folder, 600_000, abort.signal)
  abort.abort()
  await planted.there
  expect(content(folder)).toBe('kept')
})

test('what a killed call put aside is brought back by the next one', async () => {
  fill(`${folder}.unmounted`)
  await plantLateStore(folder, 20, never).there
  expect(content(folder)).toBe('kept')
})

function fill(where: string) {
  mkdirSync(where, { recursive: true })
  writeFileSync(join(where, 'backup'), 'kept')
}

const content = (where: string) => readFileSync(join(where, 'backup'), 'utf8')
