// What makes a backup exist: `manifest.json`, the last file of a place, created exclusively. Or the note that nothing may exist there any more.
import { Problem } from '@dbops/contract/failure'
import { engines } from '@dbops/contract/names'
import { z } from 'zod'
import { parsePlace } from './place.ts'
import type { Store } from './store.ts'
import { isPath } from './store-path.ts'

export const manifestFile = 'manifest.json'
/** Ten thousand tables with their policies need 2 MiB. */
const largest = 16 * 2 ** 20

const time = z.iso.datetime()
const open = z.record(z.string(), z.unknown())

/** What the runner knows: who made it, for which run, when, with which outcome. Times are UTC. */
const head = z.looseObject({
  formatVersion: z.literal(1),
  id: z.uuid(),
  run: z.uuid(),
  fence: z.int().min(1),
  task: z.string(),
  environment: z.string(),
  engine: z.enum(engines),
  target: z.string(),
  kind: z.string(),
  name: z.string().describe('the entry of the configuration that asked for it, else its operation'),
  operation: z.string(),
  bornAt: time,
  startedAt: time,
  finishedAt: time,
  actor: z.string().optional(),
  result: open.describe('the facts that the run returned'),
  evidence: open.describe('what its proof found'),
})

/** What the task describes. All of it is optional here: which parts a kind of backup must have is its task's proof. */
const described = z.looseObject({
  server: z.looseObject({ version: z.string(), systemIdentifier: z.string().optional() }).optional(),
  snapshot: open.optional().describe('from which state of the server: id of the snapshot, time, position in the log'),
  tables: z.array(z.looseObject({ table: z.string(), rows: z.int().min(0) })).optional(),
  extensions: z.array(z.looseObject({ name: z.string(), version: z.string() })).optional(),
  roles: z.array(z.union([z.string(), z.looseObject({ name: z.string() })])).optional(),
  policies: z.array(z.looseObject({ table: z.string(), name: z.string() })).optional(),
  tools: z.record(z.string(), z.string()).optional().describe('version of each program that took part'),
  parts: z
    .array(z.looseObject({ name: z.string(), files: z.array(z.string()).optional() }))
    .optional()
    .describe('what it consists of'),
  restore: z
    .array(z.string())
    .optional()
    .describe('lines of shell that restore it without this system; run them in the folder of the manifest'),
})

const storedFile = z.looseObject({
  file: z.string().refine(isPath, 'leads out of its place'),
  bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
})

/** Format 1. Readers ignore keys that they do not know; a change that they would misread makes it format 2. */
export const manifest = z.looseObject({
  ...head.shape,
  ...described.shape,
  facts: open.default({}).describe('whatever else the task described'),
  files: z.array(storedFile).min(1),
})
export type Manifest = z.infer<typeof manifest>
export type ManifestHead = z.input<typeof head>
export type ManifestFile = z.infer<typeof storedFile>

/** In place of a manifest: nothing can be sealed here any more. */
export const voidNote = z.looseObject({
  void: z.literal(true),
  by: z.string().describe('the fence of the attempt that voided it, or the service that swept'),
  at: time,
  reason: z.string(),
})
export type VoidNote = z.infer<typeof voidNote>

/** A value as the manifest will keep it: what it says cannot change any more, dates are ISO 8601, and bigints (positions in a log) their digits. */
export const asJson = (value: Record<string, unknown>) => JSON.parse(toJson(value)) as Record<string, unknown>

/** Checks a task's description when it is given, and not after an hour of dumping. Throws `manifest_invalid`. */
export function checkDescription(said: Record<string, unknown>): void {
  const parsed = described.safeParse(said)
  if (!parsed.success)
    throw new Problem(`what the manifest shall say is malformed: ${firstIssue(parsed.error)}`, {
      code: 'manifest_invalid',
      hint: 'this is a bug of the task that describes its artifact',
    })
}

/** A description as part of a manifest: the keys that it has a shape for, and all others under `facts`. */
export function partOfManifest(said: Record<string, unknown>): Record<string, unknown> {
  const isKnown = ([key]: [string, unknown]) => key in described.shape
  const entries = Object.entries(said)
  return { ...Object.fromEntries(entries.filter(isKnown)), facts: Object.fromEntries(entries.filter(entry => !isKnown(entry))) }
}

export const toJson = (value: unknown) =>
  `${JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner), 2)}\n`

/**
 * What stands under the manifest's name. Throws `manifest_damaged` for what is no JSON, has the wrong shape, or belongs to another place,
 * and `manifest_version_unknown` for a format that a newer program wrote.
 */
export async function readManifest(store: Store, place: string): Promise<'none' | { void: VoidNote } | { manifest: Manifest }> {
  const text = await readText(store, `${place}/${manifestFile}`)
  if (text === undefined) return 'none'
  const where = `${store.location}/${place}/${manifestFile}`
  const content = parseJson(text, where)
  if (isRecord(content) && content['void'] === true) return { void: parseAs(voidNote, content, where) }
  if (isRecord(content) && Number.isInteger(content['formatVersion']) && content['formatVersion'] !== 1)
    throw new Problem(`${where} has format ${String(content['formatVersion'])}; this program reads format 1`, {
      code: 'manifest_version_unknown',
      hint: 'read it with the release that wrote it, or a newer one',
    })
  const found = parseAs(manifest, content, where)
  const parts = parsePlace(place)
  if (parts && (parts.run !== found.run || parts.fence !== found.fence))
    throw damaged(where, `it belongs to run ${found.run}, fence ${found.fence}`)
  return { manifest: found }
}

/** True for what is wrong with a manifest or its files, false for a store that cannot be reached. */
export const isDamage = (error: unknown): error is Problem =>
  error instanceof Problem && ['manifest_damaged', 'manifest_version_unknown', 'artifact_damaged'].includes(error.code)

async function readText(store: Store, path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await store.read(path, largest)).toString('utf8')
  } catch (error) {
    if (error instanceof Problem && error.code === 'file_missing') return undefined
    if (error instanceof Problem && error.code === 'file_too_large') throw damaged(`${store.location}/${path}`, 'it is too large')
    throw error
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw damaged(where, 'it is no JSON')
  }
}

function parseAs<S extends z.ZodType>(schema: S, content: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(content)
  if (!parsed.success) throw damaged(where, firstIssue(parsed.error))
  return parsed.data
}

const damaged = (where: string, why: string) =>
  new Problem(`${where} is damaged: ${why}`, {
    code: 'manifest_damaged',
    hint: 'nothing there is deleted or adopted; look at its files, and take a new backup',
  })

const firstIssue = (error: z.ZodError) => {
  const issue = error.issues[0]!
  return issue.path.length ? `${issue.path.join('.')}: ${issue.message}` : issue.message
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
