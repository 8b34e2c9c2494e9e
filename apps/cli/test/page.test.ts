// The page of `up` and `status --watch`: what stands on it, in which size of terminal, and how it is put there and taken away.
import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { shares } from '../src/page/layout.ts'
import type { Model, Seen } from '../src/page/model.ts'
import { page } from '../src/page/page.ts'
import { openScreen } from '../src/page/screen.ts'
import { width } from '../src/print.ts'

const now = new Date('2026-01-01T12:00:00Z')
const at = (seconds: number) => new Date(now.getTime() + seconds * 1_000)
const plain = (_: string, text: string) => text

test.each([
  [79, 24],
  [119, 40],
  [40, 12],
  [10, 3],
])('a page of %i × %i has as many lines, and none is wider', (columns, height) => {
  const lines = page(model(busy(30)), { width: columns, height, colour: plain })
  expect([lines.length, Math.max(...lines.map(width)) <= columns]).toEqual([height, true])
})

test('the four sections stand in their order, each with what it is about', () => {
  const lines = page(model(busy(1)), { width: 79, height: 24, colour: plain })
  expect(lines).toEqual([
    '12:00:00  environment test  my.yaml',
    '1 alert firing · 2 findings · core up, far down · 1 service ready, relay not r…',
    '',
    'NEXT RUNS',
    '12:00:10  in 10s     nightly  pg.vacuum core.outbox on core',
    '',
    'RUNNING',
    'running   5s         pg.purge:outbox on core  ██████░░░░░░ 50 % of 1,000 rows',
    '',
    'LAST RESULTS',
    '11:59:50  pg/core  pg.dump:metadata failed: the store is full, as it has been',
    '                   since yesterday',
    '                   hint: make room',
    '',
    'NOTIFICATIONS',
    '11:59:55  core  backup_failed fires: pg.dump:metadata; told desk',
    '',
    '',
    '',
    '',
    '',
    '',
    '',
    'Ctrl-C ends it',
  ])
})

test('dead letters are said where there are any', () => {
  const lines = page(model({ ...busy(0), deadLetters: 2 }), { width: 79, height: 24, colour: plain })
  expect(lines[1]).toMatch(/^1 alert firing · 2 findings · 2 dead letters · core up/)
})

test('what does not fit is counted', () => {
  const lines = page(model(busy(30)), { width: 79, height: 24, colour: plain })
  expect(lines.filter(line => line.endsWith(' more'))).toEqual([
    'NEXT RUNS  28 more',
    'RUNNING  28 more',
    'LAST RESULTS  25 more',
    'NOTIFICATIONS  24 more',
  ])
})

test.each([
  [79, 24, 3],
  [119, 40, 3],
  [79, 24, 8],
])('on %i × %i all of %i alerts that fire are seen, above slow statements and what was resolved', (columns, height, firing) => {
  const alert = (i: number) => ({
    at: at(-3_600 - i),
    subject: 'core',
    text: `${'x'.repeat(90)} ${i} fires`,
    tone: 'bad' as const,
    rank: 'first' as const,
  })
  const slow = Array.from({ length: 30 }, (_, i) => ({
    at: at(-i),
    subject: 'pg/core',
    text: 'slow',
    tone: 'odd' as const,
    rank: 'last' as const,
  }))
  const resolved = { at: at(-100), subject: 'core', text: 'resolved', tone: 'good' as const }
  const notifications = [...slow, resolved, ...Array.from({ length: firing }, (_, i) => alert(i))]
  const lines = page(model({ ...busy(30), notifications }), { width: columns, height, colour: plain })
  const from = lines.findIndex(line => line.startsWith('NOTIFICATIONS'))
  const told = lines.slice(from + 1).map(line => /xxx|resolved|slow/.exec(line)?.[0])
  expect([
    told.filter(word => word === 'xxx').length,
    told.lastIndexOf('xxx') < 2 * firing,
    told.indexOf('slow') === -1 || told.indexOf('slow') > told.indexOf('resolved'),
  ]).toEqual([firing, true, true])
})

test('on 79 × 24 what fires and who was told is read to its end, whatever has ended well', () => {
  const good = Array.from({ length: 30 }, (_, i) => ({ at: at(-i), subject: 'core', text: 'ended well', tone: 'good' as const }))
  const text = (n: number) =>
    `restore_check_failed fires: pg.restore-check:metadata: ${n} of 17 checks failed, which is the worst that can be; told ops and desk`
  const firing = [1, 2, 3].map(n => ({ at: at(-n), subject: 'core', text: text(n), tone: 'bad' as const, rank: 'first' as const }))
  const lines = page(model({ ...busy(30), last: good, notifications: firing }), { width: 79, height: 24, colour: plain })
  const words = lines
    .slice(lines.findIndex(line => line.startsWith('NOTIFICATIONS')))
    .join(' ')
    .replaceAll(/\s+/g, ' ')
  expect([1, 2, 3].map(n => words.includes(text(n)))).toEqual([true, true, true])
})

test('what a process said ten minutes ago is no news any more', () => {
  const said = [-601, -599].map(seconds => ({ at: at(seconds), subject: 'relay', text: 'not taken', tone: 'odd' as const }))
  const lines = page({ ...model(busy(0)), said }, { width: 79, height: 24, colour: plain })
  expect(lines.filter(line => line.includes('not taken')).map(line => line.slice(0, 8))).toEqual(['11:50:01'])
})

test.each([
  ['its first phase is said by its name', { done: 0, total: null, unit: 'phases', note: 'find' }, 'find'],
  ['one is one', { done: 1, total: null, unit: 'batches' }, '1 batch'],
  ['several are counted', { done: 3, total: null, unit: 'phases', note: 'checks' }, '3 phases, checks'],
])('of what runs %s', (_, progress, words) => {
  const running = busy(1).running.map(one => ({ ...one, progress }))
  const lines = page(model({ ...busy(0), running }), { width: 79, height: 24, colour: plain })
  expect(lines.find(line => line.startsWith('running'))).toBe(`running   5s         pg.purge:outbox on core  ${words}`)
})

test('a run that is tried again says when', () => {
  const running = busy(1).running.map(one => ({ ...one, words: 'queued', again: at(23), waitingFor: 'retry after: the store is full' }))
  const lines = page(model({ ...busy(0), running }), { width: 79, height: 24, colour: plain })
  expect(lines.find(line => line.startsWith('queued'))).toBe(
    'queued    5s         pg.purge:outbox on core  again in 23s: the store is full',
  )
})

test('the same failure is told whole once', () => {
  const lines = page(model(busy(2)), { width: 79, height: 40, colour: plain })
  expect(lines.filter(line => line.includes('hint: make room')).length).toBe(1)
})

test('before there is a ledger to read it shows what starts', () => {
  const said = [
    { at: at(-2), subject: 'ledger', text: 'PostgreSQL on 127.0.0.1:5432' },
    { at: at(-1), subject: 'up', text: 'starting scheduler' },
  ]
  const lines = page({ ...model(undefined), said, waited: 3 }, { width: 60, height: 8, colour: plain })
  expect(lines).toEqual([
    'environment test  my.yaml',
    'starting for 3 s',
    '',
    'STARTING',
    '11:59:58  ledger  PostgreSQL on 127.0.0.1:5432',
    '11:59:59  up      starting scheduler',
    '',
    'Ctrl-C ends it',
  ])
})

test('a ledger that is away is said in place of the summary', () => {
  const lines = page({ ...model(busy(1)), trouble: 'the ledger does not answer' }, { width: 60, height: 24, colour: plain })
  expect(lines[1]).toBe('the ledger does not answer')
})

test('line breaks and escapes from a database do not reach the terminal', () => {
  const seen = { ...busy(0), last: [{ at: now, subject: 'pg/core', text: 'a\nb\u001b[2Jc\u009bd' }] }
  const lines = page(model(seen), { width: 79, height: 24, colour: plain })
  expect(lines.find(line => line.includes('pg/core'))).toBe('12:00:00  pg/core  a b [2Jc d')
})

test('a schedule that waits for an event stands last, one that is paused says until when', () => {
  const [timed] = busy(1).next
  const next = [
    { ...timed!, pausedUntil: at(3_600) },
    { ...timed!, schedule: 'on-data', at: null, event: 'data_registered' },
  ]
  const lines = page(model({ ...busy(0), next }), { width: 79, height: 24, colour: plain })
  expect(lines.slice(4, 6)).toEqual([
    '12:00:10  paused until 13:00:00  nightly  pg.vacuum core.outbox on core',
    'on data_registered   on-data  pg.vacuum core.outbox on core',
  ])
})

test('nothing to show is said in each section', () => {
  const lines = page(model(busy(0)), { width: 79, height: 24, colour: plain })
  expect(lines.filter(line => /^(no|nothing) /.test(line)).length).toBe(4)
})

test.each([
  ['all get what they want where there is room', [3, 5], 20, [3, 5]],
  ['none gets more than its least before the others have theirs', [30, 30], 5, [3, 2]],
  ['the rest goes by weight', [30, 30], 16, [8, 8]],
  ['what one does not need the other gets', [1, 30], 16, [1, 15]],
  ['no room is no rows', [3, 3], 0, [0, 0]],
])('%s', (_, wants, room, given) => {
  expect(
    shares(
      wants.map(n => ({ wants: n, least: 3, weight: 1 })),
      room,
    ),
  ).toEqual(given)
})

test('the terminal is taken once and given back, also when it was lent meanwhile', async () => {
  const out = terminal()
  const screen = openScreen(out as unknown as NodeJS.WriteStream)
  const during = await screen.lend(() => Promise.resolve(out.text().endsWith('\u001b[?1049l')))
  screen.close()
  screen.close()
  screen.draw(['too late'])
  const count = (sequence: string) => out.text().split(sequence).length - 1
  expect([during, count('\u001b[?1049h'), count('\u001b[?1049l'), out.text().endsWith('\u001b[?1049l')]).toEqual([true, 2, 2, true])
})

test('it is given back when the process ends without a word', () => {
  const out = terminal()
  const before = process.listeners('exit')
  const screen = openScreen(out as unknown as NodeJS.WriteStream)
  const [atExit] = process.listeners('exit').filter(listener => !before.includes(listener))
  atExit!.call(process, 1)
  const text = out.text()
  screen.close()
  expect([text.endsWith('\u001b[?25h\u001b[?1049l'), process.listeners('exit').length]).toEqual([true, before.length])
})

test('another size draws it again', () => {
  const out = terminal()
  const screen = openScreen(out as unknown as NodeJS.WriteStream)
  let sizes = ''
  screen.onChange(() => (sizes += `${screen.width}×${screen.height}`))
  Object.assign(out, { columns: 120, rows: 40 })
  out.emit('resize')
  screen.close()
  expect(sizes).toBe('119×40')
})

/** A terminal that keeps what is written. */
function terminal() {
  let text = ''
  return Object.assign(new EventEmitter(), { columns: 80, rows: 24, write: (part: string) => Boolean((text += part)), text: () => text })
}

const model = (seen: Seen | undefined): Model => ({
  environment: 'test',
  note: 'my.yaml',
  seen,
  said: [],
  foot: 'Ctrl-C ends it',
  zone: 'UTC',
})

/** With `n` in each section. */
function busy(n: number): Seen {
  const times = <Thing>(thing: Thing) => Array.from({ length: n }, () => thing)
  return {
    now,
    services: [
      { app: 'scheduler', words: 'ready', colour: 'green', reasons: [] },
      { app: 'relay', words: 'not ready', colour: 'yellow', reasons: ['no route'] },
    ],
    targets: [
      { name: 'core', state: 'up' },
      { name: 'far', state: 'down' },
    ],
    alerts: 1,
    findings: 2,
    deadLetters: 0,
    next: times({ schedule: 'nightly', work: 'pg.vacuum core.outbox', target: 'core', at: at(10), event: null, pausedUntil: null }),
    running: times({
      work: 'pg.purge:outbox',
      target: 'core',
      words: 'running',
      since: at(-5),
      progress: { done: 500, total: 1_000, unit: 'rows' },
      waitingFor: null,
      again: null,
    }),
    last: times({
      at: at(-10),
      subject: 'pg/core',
      text: 'pg.dump:metadata failed: the store is full, as it has been since yesterday',
      hint: 'make room',
      tone: 'bad' as const,
    }),
    notifications: times({ at: at(-5), subject: 'core', text: 'backup_failed fires: pg.dump:metadata; told desk', tone: 'bad' as const }),
  }
}
