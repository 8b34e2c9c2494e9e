// The unit of extension: a task declares, then plans, does and proves; a probe is its small sibling. Everything else is derived from the declarations.
import { z } from 'zod'
import type { ConfigFile, Sections, Target } from './config-file.ts'
import type { Engine } from './names.ts'
import type { Severity, SignalName } from './signals.ts'

export const lanes = ['heavy', 'light'] as const
export type Lane = (typeof lanes)[number]
/**
 * What a task does to its target. `ddl` changes definitions. Maintenance is none of it: what rebuilds a thing as it is defined (VACUUM FULL, REINDEX, REFRESH, an index
 * re-created from its own statement) is a `write`.
 */
export const effects = ['read', 'write', 'delete', 'ddl'] as const
export type Effect = (typeof effects)[number]
export const retries = ['restart', 'resume', 'never'] as const
export type Retry = (typeof retries)[number]

declare const section: unique symbol
/** A parameter that names an entry of a section of the config; the entry itself is resolved into the run at its birth. */
export type Ref<S extends keyof Sections> = z.ZodString & { readonly [section]: S }
export const ref = <S extends keyof Sections>(name: S) => z.string().meta({ 'x-ref': name }) as Ref<S>

/** Marks a parameter that says how the work goes and not on what: with other values it is the same operation, with the same findings and the same last result. */
export const how = <T extends z.ZodType>(schema: T): T => schema.meta({ ...schema.meta(), 'x-how': true })

/** The entries that a task's `ref` parameters name: `{ dump: 'metadata' }` → `{ dump: { target, data, … } }`. */
export type Entries<P extends z.ZodObject> = {
  [K in keyof P['shape'] as P['shape'][K] extends Ref<keyof Sections> ? K : never]: P['shape'][K] extends Ref<infer S> ? Sections[S] : never
}

/** The place of one attempt in a store. The runner hashes and counts what passes through, and seals it with the manifest. */
export interface Artifact {
  /** Streams `source` to `<place>/<file>`; resolves with what was written once it is durable. */
  write(file: string, source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<{ bytes: number; sha256: string }>
  /** Reads a file of this attempt back from the store. */
  read(file: string): AsyncIterable<Uint8Array>
  /** What the manifest shall say beside files, run and times. Later calls add to earlier ones. */
  describe(facts: Record<string, unknown>): void
  /** Refuses when the store has not `bytes` left beside its reserve. */
  demand(bytes: number): Promise<void>
}

/** A sealed backup as a task `on: 'artifact'` sees it. */
export interface Backup {
  id: string
  /** Of the backup: what it is of. */
  target: string
  kind: string
  name: string
  location: string
  createdAt: Date
  bytes: number
  verifiedAt: Date | null
  manifest: Record<string, unknown>
}

/** The backups that a task `on: 'artifact'` works on. Nothing here can delete or change one. */
export interface Backups {
  /** Those of a kind and a name of this target, the newest first. */
  list(of: { kind: string; name?: string }): Promise<Backup[]>
  /** Streams a file of a backup out of its store. Throws `file_missing`, `store_unavailable`. */
  read(backup: Backup, file: string, signal?: AbortSignal): AsyncIterable<Uint8Array>
  /** Keeps a backup from being deleted as long as this run is unfinished. */
  hold(backup: Backup): Promise<void>
  /** Stores evidence beside the backup, under a name with this attempt's fence in it; never over another file. Resolves with the name. */
  attach(backup: Backup, name: string, content: string): Promise<string>
  /** Writes the verdict of a restore check into the catalogue, in order of time. */
  judged(backup: Backup, verdict: 'pass' | 'partial' | 'fail'): Promise<void>
}

/** Something that is wrong with a target and that a person may mend. It lives in the ledger: open, acknowledged, gone, back. */
export interface Fault {
  /** Within its probe or task and target: the same as long as the fault is the same one (`index core.outbox_idx`). */
  key: string
  level: Severity
  /** One sentence with the figures in it. */
  what: string
  hint?: string
  /** The statement that would mend it, for a person to read and run; nobody runs it by itself. */
  sql?: string
  evidence?: Record<string, unknown>
  /** Told when it opens and when it is gone, in place of `finding_opened` and `finding_gone`. */
  tells?: { opened: SignalName; gone: SignalName }
}

/** What every handler gets; an engine adds the verbs that reach its server. */
export interface Context<P extends z.ZodObject, S extends z.ZodObject, R extends z.ZodObject = z.ZodObject> {
  /** `config` is the entry of the configuration, its secrets unopened. Null of a task that works on none. */
  readonly target: { name: string; engine: Engine; labels: Record<string, string>; config: Target | null }
  /** `cutOff`: slot (of a command: birth) − age of the entry that has an `age`, fixed at the birth. */
  readonly run: {
    id: string
    attempt: number
    fence: number
    bornAt: Date
    slot: Date | null
    cutOff: Date | null
    environment: string
    installation: string
    /** When the policy's permission ends; the attempt is then ended too. Undefined where it has no end. */
    permittedUntil?: Date
  }
  readonly params: z.output<P>
  readonly entries: Entries<P>
  /** What `plan` returned in this attempt; undefined where a task has none. */
  readonly plan: unknown
  /** What `save` kept in this or an earlier attempt. */
  readonly state: z.output<S> | undefined
  /** The result of the last run of this operation on this target that succeeded; null: there is none, or it has another shape. */
  last(): Promise<{ at: Date; result: z.output<R> } | null>
  /** Aborts on cancel, timeout, lost lease and shutdown. */
  readonly signal: AbortSignal
  readonly artifact: Artifact
  readonly backups: Backups
  /** Before each side effect: returns while the lease is confirmed, waits while it is in doubt, throws when this attempt is superseded or cancelled. */
  guard(): Promise<void>
  /** Keeps what a later attempt needs to go on, at most 64 KiB. */
  save(state: z.input<S>): Promise<void>
  /** Gives the worker back until `until` and keeps the locks; the handler is then called anew with its saved state. Never returns. */
  park(until: Date, state?: z.input<S>): Promise<never>
  /** Chooses another of `emits.succeeded` than the first. */
  as(event: SignalName): void
  /** All that this task finds wrong with the target now; what it found earlier and not again is gone. */
  found(faults: Fault[]): Promise<void>
  progress(done: number, total: number | null, unit: string, note?: string): void
  log(message: string, fields?: Record<string, unknown>): void
}

export interface Proof {
  ok: boolean
  /** Why not, in a sentence; why yes where it is not plain. */
  reason: string
  evidence: Record<string, unknown>
}

export interface Declaration<P extends z.ZodObject, R extends z.ZodObject, S extends z.ZodObject, Verbs> {
  /** `<engine>.<file name>`. */
  name: string
  summary: string
  params: P
  result: R
  /** What resume needs, at most 64 KiB as JSON. */
  state?: S
  lane: Lane
  /** Names of locks on the target; `{x}` stands for the parameter x. Default: shared `target`. */
  locks?: { shared?: string[]; exclusive?: string[] }
  /** Of one attempt; default 10m. */
  timeout?: string
  /** Of the run with its waits, parks and retries, from birth; default 1h. */
  deadline?: string
  /** `restart` (twice equals once), `resume` (goes on from its state), `never` (not by itself once it has passed a guard). Default restart. */
  retry?: Retry
  /** Default 3. */
  attempts?: number
  /** What it does to the target; decides role, confirmation and policy. Default read. */
  effect?: Effect
  emits?: { succeeded?: SignalName | readonly [SignalName, ...SignalName[]]; failed?: SignalName }
  /** What it works on: a live target (default), stored backups of a target that need not be there (no session is opened), or nothing. */
  on?: 'target' | 'artifact' | 'none'
  /** `always`: a person other than the asker approves the plan's digest before it is queued. Default never. */
  approval?: 'never' | 'always'
  /** The kind of artifact that the run leaves in a store; the runner owns folder, checksums and the sealing manifest. */
  produces?: string
  /** Programs that must be on the PATH of the maintainer; looked for at its start. */
  needs?: { tools?: readonly string[] }
  /**
   * Reads only: what would be done. It is `--dry-run`, and what an approver sees. Its part `decides`, where it has one, is what is approved, by its digest; figures that
   * move from minute to minute stand beside it. `forecast: { seconds }` is how long the work takes, which the policy then counts with in place of the timeout.
   */
  plan?(c: Context<P, S, R> & Verbs): Promise<unknown>
  run(c: Context<P, S, R> & Verbs): Promise<z.input<R>>
  /** Required unless the effect is `read`: looks in the database (or the store) for what the facts claim. */
  prove?(c: Context<P, S, R> & Verbs, facts: z.output<R>): Promise<Proof>
  /** Puts the world back after an attempt that did not succeed, from its saved state, in this process or another. */
  recover?(c: Context<P, S, R> & Verbs): Promise<void>
}

/** A declaration with its defaults filled in and its handlers' types erased: what the runner, the catalogue and the contract tests work with. */
export interface Task<Verbs = unknown> {
  readonly name: string
  readonly engine: Engine | 'ops'
  readonly summary: string
  readonly params: z.ZodObject
  readonly result: z.ZodObject
  readonly state: z.ZodObject
  readonly lane: Lane
  readonly locks: { shared: string[]; exclusive: string[] }
  readonly timeout: string
  readonly deadline: string
  readonly retry: Retry
  readonly attempts: number
  readonly effect: Effect
  readonly emits: { succeeded: readonly [SignalName, ...SignalName[]]; failed: SignalName }
  readonly on: 'target' | 'artifact' | 'none'
  readonly approval: 'never' | 'always'
  readonly produces: string | null
  readonly needs: { tools: readonly string[] }
  readonly plan?: (c: AnyContext & Verbs) => Promise<unknown>
  readonly run: (c: AnyContext & Verbs) => Promise<Record<string, unknown>>
  readonly prove?: (c: AnyContext & Verbs, facts: Record<string, unknown>) => Promise<Proof>
  readonly recover?: (c: AnyContext & Verbs) => Promise<void>
}
export type AnyContext = Omit<Context<z.ZodObject, z.ZodObject>, 'entries'> & { readonly entries: Record<string, unknown> }

const noState = z.strictObject({})

/** The `defineTask` of an engine whose handlers get `Verbs` beside the common context: `export const defineTask = taskOf<PostgresVerbs>()`. */
export const taskOf =
  <Verbs>() =>
  <P extends z.ZodObject, R extends z.ZodObject, S extends z.ZodObject = typeof noState>(d: Declaration<P, R, S, Verbs>): Task<Verbs> => {
    const effect = d.effect ?? 'read'
    if (effect !== 'read' && !d.prove)
      throw new Error(`${d.name} has the effect "${effect}" and no prove: what changes something must show that it did`)
    const succeeded = d.emits?.succeeded ?? 'run_succeeded'
    return {
      ...(d as unknown as Pick<Task<Verbs>, 'plan' | 'run' | 'prove' | 'recover'>),
      name: d.name,
      engine: d.name.split('.')[0] as Task['engine'],
      summary: d.summary,
      params: d.params,
      result: d.result,
      state: d.state ?? noState,
      lane: d.lane,
      locks: { shared: d.locks?.shared ?? (d.locks ? [] : ['target']), exclusive: d.locks?.exclusive ?? [] },
      timeout: d.timeout ?? '10m',
      deadline: d.deadline ?? '1h',
      retry: d.retry ?? 'restart',
      attempts: d.attempts ?? 3,
      effect,
      emits: { succeeded: typeof succeeded === 'string' ? [succeeded] : succeeded, failed: d.emits?.failed ?? 'run_failed' },
      on: d.on ?? 'target',
      approval: d.approval ?? 'never',
      produces: d.produces ?? null,
      needs: { tools: d.needs?.tools ?? [] },
    }
  }

/** A value of a gauge, or several with labels of their own. Null: it cannot be known, and no number is shown. */
export type Gauge = number | null | { labels: Record<string, string>; value: number | null }[]

/** The ledger, for a probe that keeps a history of its own there. */
export interface LedgerAccess {
  query<Row extends object>(sql: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

/** What a probe's `look` gets beside the verbs of its engine. */
export interface Look<Result> {
  readonly target: string
  /** The entry of the configuration, its secrets unopened. */
  readonly config: Target
  /** Entries of these sections that are of this target; of schedules also those whose named entry is. */
  readonly entries: Pick<ConfigFile, 'pools' | 'views' | 'purges' | 'dumps' | 'ingest' | 'schedules'>
  readonly environment: string
  readonly installation: string
  readonly signal: AbortSignal
  /** The last good reading, whichever process took it. */
  readonly last: { at: Date; result: Result } | null
  /** Reads only. */
  readonly ledger: LedgerAccess
  /** An event beside the reading, told in the reading's transaction. Name it in `tells`. `operation` defaults to the probe's name. */
  tell(event: SignalName, data: Record<string, unknown>, operation?: string): void
  /** Something is wrong. What a good reading does not find again is gone. */
  find(fault: Fault): void
  /** Writes to the ledger in the reading's transaction. */
  keep(work: (db: LedgerAccess) => Promise<void>): void
}

/** A reading of a target that is taken again and again; an event goes out only when its state changes. */
export interface Probe<Verbs = unknown, Result extends Record<string, unknown> = Record<string, unknown>> {
  readonly name: string
  readonly summary: string
  /** 10s to 300s. */
  readonly every: string
  readonly timeout: string
  readonly result: z.ZodObject
  readonly emits: { failed: SignalName; recovered: SignalName }
  /** Events that `look` tells by itself, or that its findings name. */
  readonly tells: readonly SignalName[]
  /** The gauges that a reading sets: metric name without `dbops_`, with its value; labels engine and target are added. */
  readonly gauges: (result: Result) => Record<string, Gauge>
  /** Names that the platform or a well-known exporter already uses, whole; shown beside ours unless `metrics.compat` is off. Label target is added. */
  readonly compat: (result: Result) => Record<string, Gauge>
  readonly look: (c: Look<Result> & Verbs) => Promise<Result>
}

/**
 * The `defineProbe` of an engine. A `look` that throws is the state `failed`; a result is `ok`. A target that does not answer at all is told by the
 * engine's `.health` probe alone: the others are `failed` and say nothing.
 */
export const probeOf =
  <Verbs>() =>
  <R extends z.ZodObject>(d: {
    name: string
    summary: string
    every: string
    timeout?: string
    result: R
    emits?: { failed: SignalName; recovered: SignalName }
    tells?: readonly SignalName[]
    gauges?: (result: z.output<R>) => Record<string, Gauge>
    compat?: (result: z.output<R>) => Record<string, Gauge>
    look: (c: Look<z.output<R>> & Verbs) => Promise<z.input<R>>
  }): Probe<Verbs> =>
    ({
      timeout: '5s',
      emits: { failed: 'probe_failed', recovered: 'probe_recovered' },
      tells: [],
      gauges: () => ({}),
      compat: () => ({}),
      ...d,
    }) as unknown as Probe<Verbs>
