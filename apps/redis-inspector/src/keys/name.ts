// Names of keys and streams are bytes. What is said of them is text that a ledger holds and a terminal shows.
const utf8 = new TextDecoder('utf-8', { fatal: true })
const longest = 120

/** Text where it is text, else as redis-cli shows it: `\x00\xff`. `name` is latin1, one character for each byte; long names end with `…`. */
export function nameText(name: string): string {
  const bytes = Buffer.from(name, 'latin1')
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    text = name
  }
  const plain = text === name ? /[\\\p{Cc}\x80-\xff]/gu : /[\\\p{Cc}]/gu
  const shown = text.replace(plain, one => (one === '\\' ? '\\\\' : `\\x${one.codePointAt(0)!.toString(16).padStart(2, '0')}`))
  return shown.length > longest ? `${shown.slice(0, longest).replace(/[\ud800-\udbff]$/, '')}…` : shown
}
