// What a cron expression means in its zone, on ordinary days and on the two days of the year that have 23 or 25 hours.
import { checkCron, isZone, nextSlot, slotsBetween } from '@dbops/contract/slots'
import { describe, expect, test } from 'vitest'

test('a slot is a moment in UTC, of a time in the zone', () => {
  expect(nextSlot('30 2 * * *', 'Asia/Seoul', new Date('2026-03-28T00:00:00Z'))).toEqual(new Date('2026-03-28T17:30:00Z'))
})

test('the next slot is after the moment that is given, never that moment', () => {
  expect(nextSlot('0 * * * *', 'UTC', new Date('2026-03-28T10:00:00Z'))).toEqual(new Date('2026-03-28T11:00:00Z'))
})

test('a month without that day has no slot', () => {
  expect(times('0 5 31 * *', 'UTC', '2026-01-01', '2026-06-01')).toEqual(['01-31 05:00', '03-31 05:00', '05-31 05:00'])
})

test('a day of the month and a weekday together mean either', () => {
  expect(times('0 5 1 * mon', 'UTC', '2026-06-25', '2026-07-07')).toEqual(['06-29 05:00', '07-01 05:00', '07-06 05:00'])
})

test('six fields begin with the second', () => {
  expect(nextSlot('*/15 * * * * *', 'UTC', new Date('2026-03-28T10:00:01Z'))).toEqual(new Date('2026-03-28T10:00:15Z'))
})

test('slots between two moments: the first is left out, the last is taken, and there are no more than the limit', () => {
  const [from, to] = [new Date('2026-03-28T10:00:00Z'), new Date('2026-03-28T14:00:00Z')]
  expect([slotsBetween('0 * * * *', 'UTC', from, to).length, slotsBetween('0 * * * *', 'UTC', from, to, 3).length]).toEqual([4, 3])
})

describe('a single time that the clocks leave out', () => {
  // The slot comes at the first moment after the gap: late by less than the gap, and not lost.
  test.each([
    ['Europe/Berlin', '30 2 * * *', '2026-03-29', '2026-03-29T01:00:00Z'],
    ['America/New_York', '30 2 * * *', '2026-03-08', '2026-03-08T07:00:00Z'],
    ['Australia/Lord_Howe', '15 2 * * *', '2026-10-04', '2026-10-03T15:30:00Z'], // half an hour only
    ['America/Santiago', '0 0 * * *', '2026-09-06', '2026-09-06T04:00:00Z'], // at midnight
  ])('in %s, %s on %s is due once, as soon as the clocks have moved', (zone, cron, day, slot) => {
    expect(slotsOf(cron, zone, day)).toEqual([new Date(slot)])
  })
  test.each([
    ['Asia/Seoul', '2026-03-29', '2026-03-28T17:30:00Z'], // no change of clocks
    ['Asia/Kathmandu', '2026-03-29', '2026-03-28T20:45:00Z'], // none either, and three quarters of an hour beside the others
    ['Africa/Casablanca', '2026-03-29', '2026-03-29T01:30:00Z'], // changes for Ramadan, and only then
  ])('in %s %s is a day like any other', (zone, day, slot) => {
    expect(slotsOf('30 2 * * *', zone, day)).toEqual([new Date(slot)])
  })
})

describe('a single time that comes twice', () => {
  test.each([
    ['Europe/Berlin', '30 2 * * *', '2026-10-25', '2026-10-25T00:30:00Z'],
    ['America/New_York', '30 1 * * *', '2026-11-01', '2026-11-01T05:30:00Z'],
    ['Australia/Lord_Howe', '45 1 * * *', '2026-04-05', '2026-04-04T14:45:00Z'],
    ['America/Santiago', '30 23 * * *', '2026-04-04', '2026-04-05T02:30:00Z'],
    ['Africa/Casablanca', '30 2 * * *', '2026-02-15', '2026-02-15T01:30:00Z'],
  ])('in %s, %s on %s is due the first time only', (zone, cron, day, slot) => {
    expect(slotsOf(cron, zone, day)).toEqual([new Date(slot)])
  })

  test('a scheduler that starts between the two does not run it again', () => {
    expect(nextSlot('30 2 * * *', 'Europe/Berlin', new Date('2026-10-25T01:15:00Z'))).toEqual(new Date('2026-10-26T01:30:00Z'))
  })
})

describe('an expression with several times', () => {
  test('keeps its rhythm over both changes: no hour without a slot, none with two', () => {
    const inUtc = (day: string) => slotsBetween('30 * * * *', 'Europe/Berlin', new Date(`${day}T00:00:00Z`), new Date(`${day}T06:00:00Z`))
    expect([inUtc('2026-03-29').map(hour), inUtc('2026-10-25').map(hour)]).toEqual([
      [0, 1, 2, 3, 4, 5],
      [0, 1, 2, 3, 4, 5],
    ])
  })
  // Neither is moved nor told apart: the price of the line above. Whoever wants one run a day writes one time.
  test('has no slot for those of its times that the clocks leave out', () => {
    expect(times('30 2,14 * * *', 'Europe/Berlin', '2026-03-29', '2026-03-30')).toEqual(['03-29 14:30'])
  })
  test('has two slots for those of its times that come twice', () => {
    expect(times('0 2,14 * * *', 'Europe/Berlin', '2026-10-25', '2026-10-26')).toEqual(['10-25 02:00', '10-25 02:00', '10-25 14:00'])
  })
})

test('slots come in order and each once, however they are asked for', () => {
  const [from, to] = [new Date('2026-10-24T00:00:00Z'), new Date('2026-10-27T00:00:00Z')]
  const whole = slotsBetween('*/20 1-3 * * *', 'Europe/Berlin', from, to)
  const halves = [
    ...slotsBetween('*/20 1-3 * * *', 'Europe/Berlin', from, whole[7]!),
    ...slotsBetween('*/20 1-3 * * *', 'Europe/Berlin', whole[7]!, to),
  ]
  expect(halves).toEqual(whole.toSorted((a, b) => a.getTime() - b.getTime()))
})

test.each([
  ['* * * *', 'cron has 4 fields'],
  ['* * * * * * *', 'cron has 7 fields'],
  ['@daily', 'cron has 1 field'],
  ['H 3 * * *', 'cron field "H" is not understood'],
  ['0 0 L * *', 'cron field "L" is not understood'],
  ['61 * * * *', 'cron "61 * * * *": Invalid value for minute: 61'],
  ['0 0 30 2 *', 'cron "0 0 30 2 *" is never due'],
])('%s is refused: %s', (cron, found) => {
  expect(checkCron(cron)?.found).toBe(found)
})

test.each(['30 2 * * *', '*/15 * * * * *', '0 9 * * mon-fri', '0 0 29 2 *', '0 0 * jan,jul 0,7'])('%s is accepted', cron => {
  expect(checkCron(cron)).toBeUndefined()
})

test.each([
  ['Asia/Seoul', true],
  ['UTC', true],
  ['Seoul', false],
  ['+09:00', false],
  ['asia/seoul', false],
])('%s as a zone: %s', (zone, known) => {
  expect(isZone(zone)).toBe(known)
})

const slotsOf = (cron: string, zone: string, day: string): Date[] =>
  slotsBetween(
    cron,
    zone,
    new Date(Date.parse(`${day}T00:00:00Z`) - 86_400_000),
    new Date(Date.parse(`${day}T00:00:00Z`) + 2 * 86_400_000),
  ).filter(slot => shown(slot, zone).startsWith(day))
/** As the clocks of the zone show them, from the first day to before the second. */
const times = (cron: string, zone: string, from: string, to: string): string[] =>
  slotsBetween(cron, zone, new Date(Date.parse(`${from}T00:00:00Z`) - 86_400_000), new Date(`${to}T00:00:00Z`))
    .map(slot => shown(slot, zone))
    .filter(text => text >= from && text < to)
    .map(text => text.slice(5, 16))
const shown = (slot: Date, zone: string) => slot.toLocaleString('sv', { timeZone: zone })
const hour = (slot: Date) => slot.getUTCHours()
