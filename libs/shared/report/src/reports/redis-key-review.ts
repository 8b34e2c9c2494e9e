// The report of redis.key-review: where the memory of a Redis is, and what lives there longer than it should.
import type { Language, Report, Section, Source } from '../report.ts'
import { bytes, percent, signed, time, whole } from '../units.ts'

/** As redis.key-review declares its result, as far as it is shown. */
interface Facts {
  version: string
  policy: string
  keys: number
  seen: number
  complete: boolean
  confidence: number | null
  stopped: 'sample' | 'budget' | null
  seconds: number
  bytes: number
  bytesError: number | null
  prefixes: {
    prefix: string
    keys: Count
    bytes: number
    bytesError: number | null
    withoutTtl: number
    longestTtlMs: number
    types: string[]
    growth: { keys: number; bytes: number } | null
  }[]
  others: { prefixes: number; keys: number; bytes: number }
  kinds: { type: string; encoding: string; keys: Count; bytes: number }[]
  largest: Standing[]
  longest: Standing[]
  hottest: { key: string; frequency: number }[] | null
  retention: {
    name: string
    prefix: string
    promised: string
    keys: Count
    withoutTtl: Count
    over: Count
    longestTtlMs: number
    examples: string[]
  }[]
  since: string | null
}
interface Count {
  n: number
  low: number
  high: number
}
interface Standing {
  key: string
  type: string
  bytes: number
  elements: number | null
  ttlMs: number | null
}

const english = {
  title: (target: string) => `Keys of ${target}`,
  subtitle: (at: string, run: string) => `${at}, run ${run}`,
  keys: 'Keys',
  seen: 'Looked at',
  memory: 'Memory',
  took: 'Time taken',
  server: 'Server',
  policy: 'Eviction policy',
  findings: 'What to look at',
  none: 'Nothing was found that a person should mend.',
  complete: 'all of them',
  partly: (seen: string, confidence: string) =>
    `${seen}; the figures are brought up to the whole, and all of them hold in ${confidence} of reviews`,
  prefixes: 'Memory by prefix',
  prefixesNote: 'A prefix is what stands before the last colon of a name; * stands for ids.',
  prefix: 'Prefix',
  share: 'Share',
  types: 'Types',
  noEnd: 'Without an end',
  longestLife: 'Longest life',
  growth: (since: string) => `Since ${since}`,
  noName: '(no colon in the name)',
  others: (n: string) => `(${n} others)`,
  retention: 'Times to live against what is promised',
  promised: 'Promised',
  over: 'Live too long',
  examples: 'For example',
  any: 'some end',
  forEver: 'for ever',
  largest: 'The largest by memory',
  longest: 'Those with the most elements',
  key: 'Key',
  type: 'Type',
  elements: 'Elements',
  life: 'Lives for',
  kinds: 'Types and encodings',
  encoding: 'Encoding',
  hottest: 'The most used',
  frequency: 'Frequency (0–255, logarithmic)',
  notCounted: (policy: string) => `Not available: under ${policy} the server counts no uses; an LFU policy does.`,
}
type Words = typeof english
const korean: Words = {
  title: target => `${target}의 키`,
  subtitle: (at, run) => `${at}, 실행 ${run}`,
  keys: '키',
  seen: '조사한 키',
  memory: '메모리',
  took: '걸린 시간',
  server: '서버',
  policy: '축출 정책',
  findings: '살펴볼 것',
  none: '사람이 고칠 것은 발견되지 않았습니다.',
  complete: '전부',
  partly: (seen, confidence) => `${seen}; 수치는 전체로 환산한 값이며, 검토의 ${confidence}에서 모든 오차 범위가 성립합니다`,
  prefixes: '접두어별 메모리',
  prefixesNote: '접두어는 이름의 마지막 콜론 앞부분이고, *는 식별자를 뜻합니다.',
  prefix: '접두어',
  share: '비중',
  types: '자료형',
  noEnd: '만료 없음',
  longestLife: '가장 긴 TTL',
  growth: since => `${since} 이후`,
  noName: '(이름에 콜론 없음)',
  others: n => `(그 밖의 ${n}개)`,
  retention: '약속한 보존 기간과 실제 TTL',
  promised: '약속',
  over: '너무 오래 남음',
  examples: '예',
  any: '만료 있음',
  forEver: '무기한',
  largest: '메모리를 가장 많이 쓰는 키',
  longest: '원소가 가장 많은 키',
  key: '키',
  type: '자료형',
  elements: '원소 수',
  life: '남은 시간',
  kinds: '자료형과 인코딩',
  encoding: '인코딩',
  hottest: '가장 자주 쓰는 키',
  frequency: '빈도 (0–255, 로그)',
  notCounted: policy => `알 수 없음: ${policy} 정책에서는 서버가 사용 횟수를 세지 않습니다. LFU 정책에서는 셉니다.`,
}
const words: Record<Language, Words> = { en: english, ko: korean }

/** Bars of a chart, and rows of a list. */
const [charted, listed] = [15, 20]

export function keyReviewReport({ target, run, at, result, findings }: Source, language: Language): Report {
  const w = words[language]
  const f = result as unknown as Facts
  const named = (prefix: string) => (prefix === '' ? w.noName : `${prefix}*`)
  const part = (n: number) => percent(f.bytes ? n / f.bytes : 0)
  const give = (error: number | null) => (f.complete ? '' : error === null ? ' ± ?' : ` ± ${bytes(error)}`)
  const counted = ({ n, low, high }: Count) => (low === high ? whole(n) : `${whole(n)} (${whole(low)}–${whole(high)})`)
  const life = (ms: number | null) => (ms === null ? w.forEver : time(ms))
  const standing = (all: Standing[]) => ({
    head: [w.key, w.type, w.memory, w.elements, w.life],
    numbers: [2, 3, 4],
    rows: all
      .slice(0, listed)
      .map(({ key, type, bytes: n, elements, ttlMs }) => [key, type, bytes(n), elements === null ? '' : whole(elements), life(ttlMs)]),
  })
  const sections: Section[] = [
    {
      title: w.prefixes,
      note: w.prefixesNote,
      bars: f.prefixes
        .slice(0, charted)
        .map(({ prefix, bytes: value }) => ({ label: named(prefix), value, shown: `${bytes(value)}, ${part(value)}` })),
      table: {
        head: [w.prefix, w.keys, w.memory, w.share, w.types, w.noEnd, w.longestLife, ...(f.since ? [w.growth(f.since.slice(0, 10))] : [])],
        numbers: [1, 2, 3, 5, 6, 7],
        rows: [
          ...f.prefixes.map(one => [
            named(one.prefix),
            counted(one.keys),
            `${bytes(one.bytes)}${give(one.bytesError)}`,
            part(one.bytes),
            one.types.join(', '),
            percent(one.withoutTtl),
            one.withoutTtl === 1 ? '' : time(one.longestTtlMs),
            ...(f.since ? [one.growth ? signed(one.growth.bytes, bytes) : ''] : []),
          ]),
          ...(f.others.prefixes
            ? [
                [
                  w.others(whole(f.others.prefixes)),
                  whole(f.others.keys),
                  bytes(f.others.bytes),
                  part(f.others.bytes),
                  '',
                  '',
                  '',
                  ...(f.since ? [''] : []),
                ],
              ]
            : []),
        ],
      },
    },
    ...(f.retention.length
      ? [
          {
            title: w.retention,
            table: {
              head: [w.prefix, w.promised, w.keys, w.noEnd, w.over, w.longestLife, w.examples],
              numbers: [2, 3, 4, 5],
              rows: f.retention.map(one => [
                `${one.prefix}*`,
                one.promised === 'any' ? w.any : one.promised === 'none' ? w.forEver : `≤ ${one.promised}`,
                counted(one.keys),
                counted(one.withoutTtl),
                counted(one.over),
                time(one.longestTtlMs),
                one.examples.join(', '),
              ]),
            },
          },
        ]
      : []),
    { title: w.largest, table: standing(f.largest) },
    { title: w.longest, table: standing(f.longest) },
    {
      title: w.hottest,
      ...(f.hottest
        ? { table: { head: [w.key, w.frequency], numbers: [1], rows: f.hottest.map(({ key, frequency }) => [key, whole(frequency)]) } }
        : { note: w.notCounted(f.policy) }),
    },
    {
      title: w.kinds,
      table: {
        head: [w.type, w.encoding, w.keys, w.memory],
        numbers: [2, 3],
        rows: f.kinds.map(({ type, encoding, keys, bytes: n }) => [type, encoding, counted(keys), bytes(n)]),
      },
    },
  ]
  return {
    language,
    title: w.title(target ?? ''),
    subtitle: w.subtitle(at.toISOString().replace('T', ' ').slice(0, 16).concat(' UTC'), run.slice(-8)),
    figures: [
      { label: w.keys, value: whole(f.keys) },
      { label: w.memory, value: `${bytes(f.bytes)}${give(f.bytesError)}` },
      { label: w.seen, value: f.complete ? w.complete : w.partly(whole(f.seen), `${((f.confidence ?? 0) * 100).toFixed(1)} %`) },
      { label: w.took, value: time(f.seconds * 1_000) },
      { label: w.server, value: `Redis ${f.version}` },
      { label: w.policy, value: f.policy },
    ],
    findings: { title: w.findings, none: w.none, all: findings },
    sections: sections.filter(({ table, note }) => note !== undefined || (table?.rows.length ?? 0) > 0),
  }
}
