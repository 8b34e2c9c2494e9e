// Ids of stream entries, `<milliseconds>-<n>`, both unsigned with 64 bits: their order, and the one just before.

const parts = (id: string): [bigint, bigint] => {
  const [ms, n = '0'] = id.split('-')
  return [BigInt(ms!), BigInt(n)]
}

export function isBefore(a: string, b: string): boolean {
  const [[ams, an], [bms, bn]] = [parts(a), parts(b)]
  return ams < bms || (ams === bms && an < bn)
}

/** The largest id that is smaller; `0-0` stands before everything. */
export function before(id: string): string {
  const [ms, n] = parts(id)
  if (n > 0n) return `${ms}-${n - 1n}`
  return ms > 0n ? `${ms - 1n}-${2n ** 64n - 1n}` : '0-0'
}
