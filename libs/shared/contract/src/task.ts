// The unit of extension: a task declares, then plans, does and proves; a probe is its small sibling. Everything else is derived from the declarations.
import { z } from 'zod'
import type { Sections } from './config-file.ts'
import type { Engine } from './names.ts'
import type { SignalName } from './signals.ts'

export const lanes = ['heavy', 'light'] as const
export type Lane = (typeof lanes)[number]
export const effects = ['read', 'write', 'delete', 'ddl'] as const
export type Effect = (typeof effects)[number]
export const retries = ['restart', 'resume', 'never'] as const
export type Retry = (typeof retries)[number]

declare const section: unique symbol
/** A parameter that names an entry of a section of the config; the entry itself is resolved into the run at its birth. */
export type Ref<S extends keyof Sections> = z.ZodString & { readonly [section]: S }
export const ref = <S extends keyof Sections>(name: S) => z.string().meta({ 'x-ref': name }) as Ref<S>

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

/** What every handler gets; an engine adds the verbs that reach its server. */
export interface Context<P extends z.ZodObject, S extends z.ZodObject> {
  readonly target: { name: string; engine: Engine; labels: Record<string, string> }
  readonly run: { id: string; attempt: number; fence: number; bornAt: Date; slot: Date | null; environment: string }
  readonly params: z.output<P>
  readonly entries: Entries<P>
  /** What `plan` returned in this attempt; undefined where a task has none. */
  readonly plan: unknown
  /** What `save` kept in this or an earlier attempt. */
  readonly state: z.output<S> | undefined
  /** Aborts on cancel, timeout, lost lease and shutdown. */
  readonly signal: AbortSignal
  readonly artifact: Artifact
  /** Before each side effect: returns while the lease is confirmed, waits while it is in doubt, throws when this attempt is superseded or cancelled. */
  guard(): Promise<void>
  /** Keeps what a later attempt needs to go on, at most 64 KiB. */
  save(state: z.input<S>): Promise<void>
  /** Gives the worker back until `until` and keeps the locks; the handler is then called anew with its saved state. Never returns. */
  park(until: Date, state?: z.input<S>): Promise<never>
  /** Chooses another of `emits.succeeded` than the first. */
  as(event: SignalName): void
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
  /** What it works on: a live target (default), a stored artifact, or nothing. */
  on?: 'target' | 'artifact' | 'none'
  /** The kind of artifact that the run leaves in a store; the runner owns folder, checksums and the sealing manifest. */
  produces?: string
  /** Programs that must be on the PATH of the maintainer; looked for at its start. */
  needs?: { tools?: readonly string[] }
  plan?(c: Context<P, S> & Verbs): Promise<unknown>
  run(c: Context<P, S> & Verbs): Promise<z.input<R>>
  /** Required unless the effect is `read`: looks in the database (or the store) for what the facts claim. */
  prove?(c: Context<P, S> & Verbs, facts: z.output<R>): Promise<Proof>
  /** Puts the world back after an attempt that did not succeed, from its saved state, in this process or another. */
  recover?(c: Context<P, S> & Verbs): Promise<void>
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
      produces: d.produces ?? null,
      needs: { tools: d.needs?.tools ?? [] },
    }
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
  /** The gauges that a reading sets: metric name without `dbops_`, with its value; labels engine and target are added. */
  readonly gauges: (result: Result) => Record<string, number | null>
  readonly look: (c: { target: string; signal: AbortSignal } & Verbs) => Promise<Result>
}

/** The `defineProbe` of an engine. A `look` that throws is the state `failed`; a result is `ok`. */
export const probeOf =
  <Verbs>() =>
  <R extends z.ZodObject>(d: {
    name: string
    summary: string
    every: string
    timeout?: string
    result: R
    emits: { failed: SignalName; recovered: SignalName }
    gauges?: (result: z.output<R>) => Record<string, number | null>
    look: (c: { target: string; signal: AbortSignal } & Verbs) => Promise<z.input<R>>
  }): Probe<Verbs> =>
    ({ timeout: '5s', gauges: () => ({}), ...d }) as unknown as Probe<Verbs>
