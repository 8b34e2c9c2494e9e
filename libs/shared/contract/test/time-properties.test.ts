// Cron, zone and duration for any value at all: what is written reads back, slots come in order within their bounds, and nothing typed is anything but a value or an error of ours.
import { duration, formatDuration, formatSize, parseDuration, parseSize, size } from '@dbops/contract/duration'
import { checkCron, isZone, nextSlot, slotsBetween } from '@dbops/contract/slots'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const day = 86_400_000
// With changes of an hour and of half an hour, in both halves of the globe, at midnight, for Ramadan, and with none at a quarter of an hour.
const zones = [
  'Asia/Seoul',
  'Asia/Kathmandu',
  'Europe/Berlin',
  'America/New_York',
  'America/Santiago',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
]
const zone = fc.constantFrom(...zones)
const moment = fc.date({ min: new Date('2024-01-01T00:00:00Z'), max: new Date('2028-01-01T00:00:00Z'), noInvalidDate: true })

const field = (low: number, high: number) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant('*') },
    { weight: 3, arbitrary: fc.integer({ min: low, max: high }).map(String) },
    fc.integer({ min: 2, max: high }).map(step => `*/${step}`),
    fc.uniqueArray(fc.integer({ min: low, max: high }), { minLength: 2, maxLength: 4 }).map(all => all.sort((a, b) => a - b).join()),
    fc
      .tuple(fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high }))
      .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
  )
const cron = fc.tuple(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(fields => fields.join(' '))

describe('slots of any cron in any zone', () => {
  test('lie in (after, until], in order and each once', () => {
    fc.assert(
      fc.property(cron, zone, moment, fc.integer({ min: 0, max: 40 * day }), (expression, where, after, length) => {
        const until = new Date(after.getTime() + length)
        const slots = slotsBetween(expression, where, after, until, 200).map(Number)
        expect(slots.every((slot, i) => slot > (slots[i - 1] ?? Number(after)) && slot <= Number(until))).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('are the same, asked for at once or in two parts, wherever the parts meet', () => {
    fc.assert(
      fc.property(
        cron,
        zone,
        moment,
        fc.integer({ min: 0, max: 10 * day }),
        fc.integer({ min: 0, max: 10 * day }),
        (expression, where, from, a, b) => {
          const [middle, to] = [new Date(from.getTime() + a), new Date(from.getTime() + a + b)]
          const most = 20_000
          const parts = [...slotsBetween(expression, where, from, middle, most), ...slotsBetween(expression, where, middle, to, most)]
          expect(parts).toEqual(slotsBetween(expression, where, from, to, most))
        },
      ),
      { numRuns: 60 },
    )
  })

  test('show on the clocks of the zone the minute that the expression names, or the first one after a gap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 23 }), zone, moment, (minute, hour, where, after) => {
        const slot = nextSlot(`${minute} ${hour} * * *`, where, after)!
        const wanted = `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`
        const inGap = clock(slot, where) !== wanted && clock(new Date(Number(slot) - 60_000), where) < wanted && clock(slot, where) > wanted
        expect([clock(slot, where) === wanted || inGap, Number(slot) - Number(after) <= 2 * day]).toEqual([true, true])
      }),
      { numRuns: 500 },
    )
  })
})

test('any text is a cron that has slots, or is refused with what to write', () => {
  const anything = fc.oneof(
    fc.string(),
    fc.array(fc.oneof(fc.string({ maxLength: 4 }), field(0, 99)), { maxLength: 8 }).map(all => all.join(' ')),
  )
  fc.assert(
    fc.property(anything, text => {
      const wrong = checkCron(text)
      expect(wrong ? wrong.found.length > 0 && wrong.hint.length > 0 : nextSlot(text, 'Asia/Kathmandu', new Date()) instanceof Date).toBe(
        true,
      )
    }),
    { numRuns: 2_000 },
  )
})

test('any text is a zone that clocks can be shown in, or none', () => {
  const anything = fc.oneof(
    fc.string(),
    fc.constantFrom(...zones),
    fc.constantFrom('UTC', 'Etc/GMT+9', '__proto__', 'GMT\0', 'Asia/', '../etc'),
  )
  fc.assert(
    fc.property(anything, text => {
      expect(!isZone(text) || clock(new Date(0), text).length === 5).toBe(true)
    }),
    { numRuns: 2_000 },
  )
  expect(Intl.supportedValuesOf('timeZone').filter(name => !isZone(name))).toEqual([])
})

describe('a duration', () => {
  const unit = fc.constantFrom(...(['ms', 's', 'm', 'h', 'd'] as const))
  const inMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: day }

  test('that is written reads back as so many of its unit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 99_999 }), unit, (count, of) => {
        expect([parseDuration(`${count}${of}`), duration.safeParse(`${count}${of}`).success]).toEqual([count * inMs[of], true])
      }),
    )
  })

  test('of any digits is a time that still has a date, or a RangeError of one line; the configuration says the same', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 400n }), fc.integer({ min: 0, max: 400 }), unit, (digits, length, of) => {
        const text = `${String(digits).slice(0, length + 1)}${of}`
        const accepted = duration.safeParse(text).success
        try {
          const ms = parseDuration(text)
          expect([accepted, Number.isNaN(new Date(Date.now() + ms).getTime()), Number.isSafeInteger(ms)]).toEqual([true, false, true])
        } catch (error) {
          expect([accepted, error instanceof RangeError, (error as Error).message.length < 140]).toEqual([false, true, true])
        }
      }),
      { numRuns: 2_000 },
    )
    expect(duration.safeParse(`${'9'.repeat(400)}d`).success).toBe(false)
  })

  test('that is longer is never shown as shorter by more than it is rounded', () => {
    const shown = (ms: number) =>
      formatDuration(ms)
        .split(' ')
        .reduce((sum, part) => sum + Number.parseFloat(part) * inMs[part.replace(/^[0-9.]+/, '') as keyof typeof inMs], 0)
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400 * day }), ms => {
        expect(Math.abs(shown(ms) - ms)).toBeLessThanOrEqual(ms < 60_000 ? 500 : ms < 3_600_000 ? 1_000 : ms < day ? 60_000 : 3_600_000)
      }),
      { numRuns: 2_000 },
    )
  })
})

test('a size of any digits is a finite number that is shown as one, or a RangeError of one line', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 30n }), fc.constantFrom('B', 'KiB', 'MiB', 'GiB', 'TiB'), (digits, of) => {
      const text = `${digits}${of}`
      const accepted = size.safeParse(text).success
      try {
        expect([accepted, /^[0-9.]+ \w+$/.test(formatSize(parseSize(text)))]).toEqual([true, true])
      } catch (error) {
        expect([accepted, error instanceof RangeError]).toEqual([false, true])
      }
    }),
    { numRuns: 1_000 },
  )
})

const clock = (at: Date, where: string) => at.toLocaleTimeString('sv', { timeZone: where, hour: '2-digit', minute: '2-digit' })
