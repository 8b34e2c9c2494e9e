// What a report shows, in both languages and both forms, of a review whose names try to be markup.
import { describe, expect, test } from 'vitest'
import { toHtml } from '../src/html.ts'
import { toMarkdown } from '../src/markdown.ts'
import { type Language, languages } from '../src/report.ts'
import { reports } from '../src/reports.ts'
import { bytes, percent, signed } from '../src/units.ts'

const count = (n: number, off = 0) => ({ n, low: n - off, high: n + off })
const hostile = '</script><img src=x onerror=alert(1)>|`*'
const facts = {
  version: '7.0.15',
  policy: 'allkeys-lru',
  keys: 120_000,
  seen: 120_000,
  complete: true,
  confidence: null as number | null,
  stopped: null,
  seconds: 3.2,
  bytes: 50 * 2 ** 20,
  bytesError: 0 as number | null,
  datasetBytes: 60 * 2 ** 20,
  elsewhere: 0,
  prefixes: [
    {
      prefix: 'cache:',
      keys: count(100_000),
      bytes: 40 * 2 ** 20,
      bytesError: 0 as number | null,
      withoutTtl: 0,
      longestTtlMs: 3_600_000,
      types: ['string'],
      growth: { keys: 5, bytes: -(2 ** 20), sure: true },
    },
    {
      prefix: hostile,
      keys: count(20_000),
      bytes: 10 * 2 ** 20,
      bytesError: 0 as number | null,
      withoutTtl: 0.004,
      longestTtlMs: 60_000,
      types: ['hash', 'set'],
      growth: null,
    },
  ],
  others: { prefixes: 3, keys: 12, bytes: 2_048 },
  kinds: [{ type: 'string', encoding: 'raw', keys: count(100_000), bytes: 40 * 2 ** 20 }],
  largest: [{ key: 'big', type: 'hash', bytes: 3 * 2 ** 20, elements: 500_000, ttlMs: null }],
  longest: [],
  hottest: null,
  retention: [
    {
      name: 'sessions',
      prefix: 'session:',
      promised: '7d',
      keys: count(500),
      withoutTtl: count(7),
      over: count(0),
      longestTtlMs: 86_400_000,
      examples: ['session:1'],
    },
  ],
  since: '2026-10-01T03:00:00.000Z' as string | null,
}
const build = (language: Language, result = facts) =>
  reports['redis.key-review']!(
    {
      task: 'redis.key-review',
      target: 'cache',
      run: '01a21cf3-c68e-74c1-a43c-d94e1cbf99a0',
      at: new Date('2026-11-01T03:00:00Z'),
      result,
      findings: [{ level: 'warning', what: 'of 500 keys session:* 7 have no end', hint: 'the writer' }],
    },
    language,
  )

test('as Markdown it has the figures, the findings and each table, and names are no markup', () => {
  const page = toMarkdown(build('en'))
  expect(page.split('\n').filter(line => line.startsWith('#'))).toEqual([
    '# Keys of cache',
    '## What to look at',
    '## Memory by prefix',
    '## Times to live against what is promised',
    '## The largest by memory',
    '## The most used',
    '## Types and encodings',
  ])
  expect(page).toMatch(/^\| cache:\\\* +\| 100,000 \| 40\.0 MiB \| +80 % \| string +\| +0 % \| +1h \| +−1\.0 MiB \|$/m)
  expect(page).toContain('* **warning** of 500 keys session:\\* 7 have no end\n  the writer')
  expect(page).toContain('\\</script\\>\\<img src=x onerror=alert(1)\\>\\|\\`\\*\\*')
  expect(page).toContain('under allkeys-lru the server counts no uses')
})

test('on a terminal it stands as it is', () => {
  const page = toMarkdown(build('en'), { plain: true })
  expect([page.includes('| cache:* '), page.includes('\\*')]).toEqual([true, false])
})

test('as HTML it is whole by itself: nothing of it is fetched, nothing runs, and names are text', () => {
  const page = toHtml(build('en'))
  expect([/<script|<link|<img|@import|url\(|https?:/.exec(page), page.includes('&lt;/script&gt;&lt;img')]).toEqual([null, true])
  expect([page.match(/<rect /g)?.length, page.match(/<table>/g)?.length, page.includes("default-src 'none'")]).toEqual([2, 4, true])
})

test('each language has all words: no text of one is in the other but names, units and what was found', () => {
  const korean = toMarkdown(build('ko'))
  const labels = korean.split('\n').filter(line => /^#|^\| [^|]*\|.*\|$|^\* [^*]/.test(line) && !line.includes('---'))
  const english = toMarkdown(build('en'))
  const same = english.split('\n').filter(line => /^##? /.test(line) && korean.includes(line))
  expect([labels.length > 8, same, /[가-힣]/.test(korean), toHtml(build('ko')).includes('<html lang="ko">')]).toEqual([
    true,
    [],
    true,
    true,
  ])
})

describe('of a part of the keys', () => {
  const part = {
    ...facts,
    seen: 9_000,
    complete: false,
    confidence: 0.999,
    bytesError: 2 ** 20,
    since: null,
    prefixes: [
      { ...facts.prefixes[0]!, keys: count(100_000, 800), bytesError: 2 ** 19 },
      { ...facts.prefixes[1]!, bytesError: null },
    ],
  }
  test.each(languages)('each figure has what it may be off (%s)', language => {
    const page = toMarkdown(build(language, part))
    expect(page).toContain('100,000 (99,200–100,800)')
    expect(page).toContain('40.0 MiB ± 512.0 KiB')
    expect(page).toContain('10.0 MiB ± ?')
    expect(page).toContain('99.9 %')
  })
})

test.each([
  [0, '0 B'],
  [1_023, '1023 B'],
  [1_024, '1.0 KiB'],
  [5 * 2 ** 30, '5.0 GiB'],
])('%i bytes are %s', (n, text) => expect(bytes(n)).toBe(text))
test('shares and differences', () => {
  expect([percent(0), percent(0.004), percent(0.5), signed(-2_048, bytes), signed(2_048, bytes), signed(0, bytes)]).toEqual([
    '0 %',
    '0.4 %',
    '50 %',
    '−2.0 KiB',
    '+2.0 KiB',
    '0',
  ])
})
