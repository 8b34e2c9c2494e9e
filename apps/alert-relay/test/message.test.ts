import type { Episode } from '@dbops/ledger/alerts'
import { expect, test } from 'vitest'
import { message } from './a-message.ts'
import { event } from './relay-bench.ts'

test('an alarm says what failed, why, what is safe and what to type', () => {
  expect(message('firing').text).toBe(
    'backup_failed (critical): pg.dump:metadata on pg/core (test): the store is full. Hint: make room in it. ' +
      'The last good backup is 0000900d of 2026-02-01 05:00 UTC at file:///backups/x. To see the run that failed: dbops runs show deadbeef',
  )
})

test('an alarm of a finding says what was found and what mends it', () => {
  const found = {
    ...event({ at: '05:00' }),
    data: { source: 'redis.streams', key: 'lost s g', what: '12 entries of s were trimmed', hint: 'is its reader running?' },
  }
  const more = { name: 'redis_stream_data_loss', operation: 'redis.streams:lost s g', event: found as Episode['event'] }
  expect(message('firing', more).text).toContain(
    'redis.streams:lost s g on pg/core (test): 12 entries of s were trimmed. Hint: is its reader running?',
  )
})

test('an alarm without a good backup says that there is none', () => {
  const failed = event({ at: '05:00', data: { lastGood: null } })
  expect(message('firing', { event: failed }).text).toContain('There is no good backup of this operation yet.')
})

test('a repeat says since when and how often', () => {
  expect(message('firing', { failures: 3 }, 1).text).toMatch(
    /^Still wrong since 2026-03-01 05:00 UTC: backup_failed .* It has failed 3 times since 2026-03-01 05:00 UTC\./,
  )
})

test('an all-clear says how long it was', () => {
  expect(message('resolved', { failures: 2 }).text).toBe(
    'Resolved: backup_failed: pg.dump:metadata on pg/core (test). It was wrong since 2026-03-01 05:00 UTC, for 1h 30m, with 2 failures. ' +
      'To see the run that failed: dbops runs show deadbeef',
  )
})

test('an all-clear of what a person has ended says who', () => {
  expect(message('resolved', { resolvedBy: null, endedBy: 'anna' }).text).toMatch(
    /^Resolved: backup_failed: pg\.dump:metadata on pg\/core \(test\), ended by hand by anna\. It was wrong since /,
  )
})

test('a message has its parts as data too', () => {
  const { alert, error, run, lastGood, engine, target, operation, environment } = message('firing')
  expect({ alert, error, run, lastGood, engine, target, operation, environment }).toMatchInlineSnapshot(`
    {
      "alert": {
        "endedBy": null,
        "episode": 1,
        "failures": 1,
        "fingerprint": "backup_failed test pg/core pg.dump:metadata",
        "id": "01900000-0000-7000-8000-00000000a1e7",
        "key": "01900000-0000-7000-8000-00000000a1e7:ops:firing:0",
        "name": "backup_failed",
        "repeat": 0,
        "resolvedAt": null,
        "severity": "critical",
        "since": "2026-03-01T05:00:00.000Z",
        "state": "firing",
      },
      "engine": "pg",
      "environment": "test",
      "error": {
        "code": "ENOSPC",
        "hint": "make room in it",
        "message": "the store is full",
      },
      "lastGood": {
        "createdAt": "2026-02-01T05:00:00Z",
        "id": "01900000-0000-7000-8000-00000000900d",
        "location": "file:///backups/x",
      },
      "operation": "pg.dump:metadata",
      "run": "01900000-0000-7000-8000-0000deadbeef",
      "target": "core",
    }
  `)
})
