// Windows in their zone, over midnight and over changes of the clocks.
import { isOpen, nextClosing, nextOpening } from '@dbops/contract/windows'
import { expect, test } from 'vitest'

const night = { from: '22:00', to: '06:00', days: ['fri' as const] }
const office = { from: '09:00', to: '18:00', days: ['mon' as const, 'tue' as const, 'wed' as const, 'thu' as const, 'fri' as const] }
const seoul = 'Asia/Seoul'

test.each([
  ['a minute before it opens', '2026-11-27T21:59:00+09:00', false],
  ['as it opens', '2026-11-27T22:00:00+09:00', true],
  ['after midnight it is still Friday’s', '2026-11-28T05:59:59+09:00', true],
  ['as it closes', '2026-11-28T06:00:00+09:00', false],
  ['Friday’s early morning belongs to Thursday', '2026-11-27T03:00:00+09:00', false],
])('a window over midnight: %s', (_, at, open) => {
  expect(isOpen(night, seoul, new Date(at))).toBe(open)
})

test('the next opening of office hours on a Friday evening is Monday morning', () => {
  expect(nextOpening(office, seoul, new Date('2026-11-27T18:30:00+09:00'))).toEqual(new Date('2026-11-30T09:00:00+09:00'))
})

test('a window that is open closes at its end, in its own zone', () => {
  expect(nextClosing({ ...office, zone: 'Europe/Berlin' }, seoul, new Date('2026-11-27T10:00:00+01:00'))).toEqual(
    new Date('2026-11-27T18:00:00+01:00'),
  )
})

test('an opening in the hour that the clocks leave out comes when they have moved on', () => {
  const window = { from: '02:30', to: '05:00' }
  expect(nextOpening(window, 'Europe/Berlin', new Date('2026-03-29T00:00:00Z'))).toEqual(new Date('2026-03-29T01:00:00Z'))
})
