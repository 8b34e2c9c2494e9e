// What is asked of each key, inside the server: from outside it would be a round trip for each, at twice the server's work.

/** The order is that of the numbers in an answer; 0 stands for what is not among them (types of modules). */
export const types = ['string', 'list', 'set', 'zset', 'hash', 'stream'] as const
export const encodings = [
  'raw',
  'int',
  'embstr',
  'ziplist',
  'listpack',
  'quicklist',
  'intset',
  'hashtable',
  'skiplist',
  'stream',
  'listpackex',
] as const

/**
 * Bytes from which a collection is asked for its elements. LLEN and its like are uses of a key to an LRU or LFU policy, unlike all else that is asked here; of what is
 * smaller none has more than some hundreds.
 */
export const countedFrom = 4_096

const indexOf = (names: readonly string[]) => `{${names.map((name, i) => `['${name}']=${i + 1}`).join(',')}}`

/** What some encodings are of alone: of most keys the type need not be asked. */
const typeOf = { raw: 'string', int: 'string', embstr: 'string', quicklist: 'list', intset: 'set', skiplist: 'zset', stream: 'stream' }
const pairs = (of: Record<string, string>) =>
  `{${Object.entries(of)
    .map(([name, value]) => `${name}='${value}'`)
    .join(',')}}`

/**
 * A step of SCAN and the facts of its keys. ARGV: cursor, COUNT, 1 where an LFU policy knows how often a key is used, 1 where modules are loaded: their values are `raw` too.
 * Answers the next cursor and one string: for each key type, encoding, frequency (bytes), milliseconds to live (−1: for ever), bytes, elements (−1: not asked; doubles),
 * the length of its name (32 bits), its name.
 */
export const script = `
local types, encodings, typeOf = ${indexOf(types)}, ${indexOf(encodings)}, ${pairs(typeOf)}
local lengths = {list='LLEN', set='SCARD', zset='ZCARD', hash='HLEN', stream='XLEN'}
local call, pack = redis.call, struct.pack
local page = call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local out, n = {}, 0
local keys = page[2]
for i = 1, #keys do
  local key = keys[i]
  local bytes = call('MEMORY', 'USAGE', key)
  if bytes then
    local encoding = call('OBJECT', 'ENCODING', key)
    local kind = ARGV[4] == '0' and typeOf[encoding] or call('TYPE', key)['ok']
    local elements = -1
    if bytes >= ${countedFrom} and lengths[kind] then elements = call(lengths[kind], key) end
    local freq = 0
    if ARGV[3] == '1' then freq = call('OBJECT', 'FREQ', key) end
    n = n + 1
    out[n] = pack('<BBBdddI4', types[kind] or 0, encodings[encoding] or 0, freq, call('PTTL', key), bytes, elements, #key) .. key
  end
end
return {page[1], table.concat(out)}`

export interface Key {
  /** latin1: one character for each byte. */
  name: string
  type: (typeof types)[number] | 'other'
  encoding: (typeof encodings)[number] | 'other'
  /** 0 to 255 on a logarithmic scale; 0 where it is not known. */
  frequency: number
  /** Milliseconds; null: it lives for ever. */
  ttl: number | null
  bytes: number
  /** Null: not asked. */
  elements: number | null
}

const head = 3 + 3 * 8 + 4
export function* keysOf(packed: Buffer): Generator<Key> {
  for (let at = 0; at < packed.length; ) {
    const [ttl, elements] = [packed.readDoubleLE(at + 3), packed.readDoubleLE(at + 19)]
    const end = at + head + packed.readUInt32LE(at + 27)
    yield {
      name: packed.toString('latin1', at + head, end),
      type: types[packed[at]! - 1] ?? 'other',
      encoding: encodings[packed[at + 1]! - 1] ?? 'other',
      frequency: packed[at + 2]!,
      ttl: ttl < 0 ? null : ttl,
      bytes: packed.readDoubleLE(at + 11),
      elements: elements < 0 ? null : elements,
    }
    at = end
  }
}
