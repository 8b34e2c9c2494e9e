// What a name may be, and which known name was meant by an unknown one.
import { name, nearMiss } from '@dbops/contract/names'
import { expect, test } from 'vitest'

test.each(['core', 'outbox-failed', 'pg15'])('%s is a name', text => {
  expect(name.safeParse(text).success).toBe(true)
})

test.each(['Core', '15pg', '-core', 'outbox_failed', 'a b', 'café', ''])('"%s" is no name', text => {
  expect(name.safeParse(text).success).toBe(false)
})

test.each([
  ['outbx-failed', 'did you mean "outbox-failed"?'],
  ['metdata', 'did you mean "metadata"?'],
  ['METADATA', 'did you mean "metadata"?'],
  ['slack', undefined],
  ['m'.repeat(1_000_000), undefined], // a pasted file, not a misspelt name
])('for %.20s: %s', (word, hint) => {
  expect(nearMiss(word, ['outbox-failed', 'metadata'])).toBe(hint)
})

test('where nothing is known, nothing was meant', () => {
  expect(nearMiss('metadata', [])).toBeUndefined()
})
