// The slow log of a server: what took long, without the values that it was asked with.
import type { Commands } from '../task.ts'

export interface Slow {
  id: number
  at: Date
  /** Of the execution alone; what a client waited beside that is not in it. */
  ms: number
  /** `HGETALL session:*`, `EVAL ? … 5 more`. */
  pattern: string
  /** As the client called itself; '' where it did not. */
  client: string
}

type Raw = [id: number, at: number, micros: number, argv: string[], address?: string, name?: string]

/** The newest first; the ring of a server holds 128 unless it was made larger. */
export async function slowLog(redis: Commands, atMost: number): Promise<Slow[]> {
  const entries = await redis.command<Raw[]>('SLOWLOG', 'GET', atMost)
  return entries.map(([id, at, micros, argv, , name = '']) => ({
    id,
    at: new Date(at * 1_000),
    ms: Math.round(micros / 10) / 100,
    pattern: patternOf(argv),
    client: name,
  }))
}

// Those whose first argument says what they do.
const containers = /^(ACL|CLIENT|CLUSTER|CONFIG|DEBUG|FUNCTION|LATENCY|MEMORY|OBJECT|SCRIPT|SLOWLOG|XGROUP|XINFO)$/
/** The command and the beginning of its key; of all else, values and patterns alike, only how much there was. */
export function patternOf([name = '', ...args]: string[]): string {
  const word = name.toUpperCase()
  const words = containers.test(word) && args.length ? [word, args.shift()!.toUpperCase()] : [word]
  if (!args.length) return words.join(' ')
  const beginning = /^[a-zA-Z][\w{}-]*:/.exec(args[0]!)?.[0]
  const rest = args.length > 1 ? ` … ${args.length - 1} more` : ''
  return `${words.join(' ')} ${beginning ? `${beginning}*` : '?'}${rest}`
}

/** Ours are no news to anybody, and end by themselves. */
export const isOurs = ({ client }: Slow): boolean => client.startsWith('dbops:')
