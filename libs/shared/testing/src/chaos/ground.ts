// What a fault may touch: an installation of real processes and servers, each connection of which goes through a proxy of its own.
import type { Redis } from 'ioredis'
import type { Proxy } from '../proxy.ts'

export type AppName = 'scheduler' | 'pg-maintainer' | 'redis-inspector' | 'alert-relay'
/** `redis` is the operations Redis, `platform` the one that is looked after. */
export type ServerName = 'ledger' | 'redis' | 'target' | 'platform'

/** A process of ours under a supervisor: whenever it ends it is started again after a moment, under the same name. */
export interface Managed {
  /** `scheduler-1`. */
  name: string
  app: AppName
  /** null while it is not running. */
  pid: number | null
  signal(signal: NodeJS.Signals): void
  /** SIGTERM, and when it has ended it is started again; with `version`, in that version from now on. Within how many ms it was gone, or null when it had to be killed. */
  restart(version?: 'own' | 'newer'): Promise<number | null>
  /** Its own way to a server; null when it has none. A fault on it is felt by this process alone. */
  proxy(server: ServerName): Proxy | null
  /** Steps the wall clock that this process sees by so many ms, at once; 0 puts it right. */
  stepClock(ms: number): void
}

export interface Ground {
  processes: Managed[]
  /** The ledger's PostgreSQL. `how` as pg_ctl words it. */
  ledger: { stop(how: 'fast' | 'immediate'): Promise<void>; start(): Promise<void> }
  /** The operations Redis: `start` with the file it had, with none, or with the one that `keep` has set aside last. */
  redis: {
    stop(how: 'orderly' | 'killed'): Promise<void>
    start(file: 'its own' | 'none' | 'older'): Promise<void>
    signal(signal: 'SIGSTOP' | 'SIGCONT'): void
    keep(): Promise<void>
  }
  /** The store that dumps go to, on a small file system of its own: what `fill` puts there takes all the room until `free`. */
  store: { fill(): Promise<void>; free(): Promise<void> }
  /** The outside reader of dbops:events, which somebody else runs. */
  reader: { signal(signal: 'SIGSTOP' | 'SIGCONT'): void }
  /** To the servers themselves, past every proxy. */
  redisClient: Redis
  /** What the webhook's receiver does from now on: takes a message, answers with an error, with too many requests, never, or breaks off after it took it. */
  sink: { be(how: 'well' | 'failing' | 'limiting' | 'silent' | 'breaking'): void }
  /** Poison that was put into a stream: the checker expects exactly these among the dead letters. */
  notePoison(entry: { stream: string; entryId: string; reason: string }): void
  say(line: string): void
}
