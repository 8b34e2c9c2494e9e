// Durations and sizes as people write them.
import { duration, formatDuration, formatSize, parseDuration, parseSize, size } from '@dbops/contract/duration'
import { expect, test } from 'vitest'

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['15m', 900_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
  ['0s', 0],
])('%s is %d milliseconds', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each(['30', '-5s', '1.5h', '5 m', '1w', '5M', '', '1h30m'])('"%s" is no duration, here as in the configuration', text => {
  expect([() => parseDuration(text), duration.safeParse(text).success]).toEqual([expect.toSatisfy(throwsRangeError), false])
})

test.each([
  ['512B', 512],
  ['64MiB', 67_108_864],
  ['100GiB', 107_374_182_400],
])('%s is %d bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each(['100', '5GB', '5 GiB', '-1MiB', '1.5GiB'])('"%s" is no size, here as in the configuration', text => {
  expect([() => parseSize(text), size.safeParse(text).success]).toEqual([expect.toSatisfy(throwsRangeError), false])
})

test.each([
  [40, '40ms'],
  [2_345, '2.3s'],
  [45_600, '46s'],
  [3_900_000, '1h 5m'],
  [86_400_000, '1d'],
])('%d ms are shown as %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

test.each([
  [17, '17 B'],
  [1_468_006, '1.4 MiB'],
])('%d bytes are shown as %s', (bytes, text) => {
  expect(formatSize(bytes)).toBe(text)
})

const throwsRangeError = (act: () => unknown) => {
  try {
    act()
    return false
  } catch (error) {
    return error instanceof RangeError
  }
}
