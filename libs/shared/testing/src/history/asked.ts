// What the harness did and asked for, as it alone knows it: the checker compares the world with this, and with nothing that our code says of itself.

export interface Asked {
  from: Date
  to: Date
  /** Schedules that were in force throughout, due at the seconds of each minute that are `offset` and so many times `every` beyond it. */
  schedules: { name: string; target: string; offset: number; every: number }[]
  /** Who asked as whom. */
  actor: string
  /** Commands that were answered: their key, how often they were sent, the run that the answers named, and how many different answers came. */
  commands: { verb: string; key: string; sent: number; accepted: boolean; run: string | null; answers: number }[]
  /** Readers of `dbops:events` that must have seen everything. */
  readers: string[]
  poison: { stream: string; entryId: string; reason: string }[]
  /** Entries put into the platform's streams that ingest maps to events, by their own id. */
  platformEvents: string[]
  /** Schedules that run for an event, in force throughout. */
  triggered: { name: string; event: string }[]
  faults: { at: Date; kind: string; what: string }[]
}

/** Where the history is read from, past every proxy. */
export interface Sources {
  ledgerUrl: string
  redisUrl: string
  /** Name of a store in the configuration, and its folder. */
  stores: Record<string, string>
  /** Target by name; the audit table `chaos.effects` in each holds (n, at, app, what, key): `app` is the application_name of the session that did it. */
  targets: Record<string, string>
  /** What each reader of ours outside the product saw, in order: event ids. */
  readers: Record<string, string[]>
  /** Every request that the webhook's receiver got, answered or not. */
  notifications: { at: Date; key: string; status: number; body: unknown }[]
}
