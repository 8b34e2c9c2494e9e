import { expect, test } from 'vitest'
import { backoff, retryAfter } from '../src/retry.ts'

const now = new Date('2026-03-01T05:00:00Z')

test.each([
  [1, 5_000, 10_000],
  [2, 10_000, 20_000],
  [9, 1_280_000, 2_560_000],
  [10, 1_800_000, 3_600_000],
  [500, 1_800_000, 3_600_000],
])('after attempt %i it waits between %i and %i ms', (attempt, least, most) => {
  expect([backoff(attempt, 0), backoff(attempt, 1)]).toEqual([least, most])
})

test.each([
  ['7', 7_000],
  ['0', 1_000],
  ['Sun, 01 Mar 2026 05:02:00 GMT', 120_000],
  ['Sun, 01 Mar 2026 04:00:00 GMT', 1_000],
  ['9999999', 86_400_000],
  ['soon', undefined],
  ['', undefined],
  [null, undefined],
])('Retry-After: %s asks for %s ms', (header, ms) => {
  expect(retryAfter(header, now)).toBe(ms)
})
