// The place of one attempt in a store: `{environment}/{postgres|neo4j}/{target}/{kind}/{utc of birth}-{run}/{fence}`. One fence, one place.
import { Problem } from '@dbops/contract/failure'
import type { Engine } from '@dbops/contract/names'
import type { Store, StoredFile } from './store.ts'

export interface PlaceParts {
  environment: string
  engine: Engine
  target: string
  kind: string
  /** To the second; a place keeps no more of it. */
  bornAt: Date
  run: string
  fence: number
}

/** Redis is not backed up, by decision, and has no folder. */
const folders: Partial<Record<Engine, string>> = { pg: 'postgres', neo4j: 'neo4j' }
const shape =
  /^([a-z][a-z0-9-]*)\/(postgres|neo4j)\/([a-z][a-z0-9-]*)\/([a-z][a-z0-9-]*)\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/([1-9]\d{0,14})$/
const depth = 6

/** Throws a Problem `bad_path` when a part could not be read back. */
export function placeOf(parts: PlaceParts): string {
  const place = `${placeOfRun(parts)}/${parts.fence}`
  if (!parsePlace(place))
    throw new Problem(`${place} is no place for an artifact`, {
      code: 'bad_path',
      hint: 'environment, target and kind have lower-case letters, digits and hyphens and begin with a letter; run is a uuid, fence a whole number from 1',
    })
  return place
}

/** The folder that holds the places of all attempts of a run. */
export function placeOfRun({ environment, engine, target, kind, bornAt, run }: Omit<PlaceParts, 'fence'>): string {
  const folder = folders[engine]
  if (!folder) throw new Problem(`artifacts of ${engine} have no folder`, { code: 'bad_path', hint: 'PostgreSQL and Neo4j are backed up' })
  const utc = bornAt.toISOString().replace(/[-:]|\.\d+/g, '')
  return `${environment}/${folder}/${target}/${kind}/${utc}-${run}`
}

/** The parts of a place, or undefined for a path that is none. */
export function parsePlace(place: string): PlaceParts | undefined {
  const match = shape.exec(place)
  if (!match) return undefined
  const [, environment, folder, target, kind, year, month, day, hour, minute, second, run, fence] = match as unknown as string[]
  const bornAt = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  if (Number.isNaN(bornAt.getTime())) return undefined
  const engine = folder === 'postgres' ? 'pg' : 'neo4j'
  return { environment: environment!, engine, target: target!, kind: kind!, bornAt, run: run!, fence: Number(fence) }
}

export interface Place {
  place: string
  parts: PlaceParts
  /** All that lies there, also the manifest. */
  files: StoredFile[]
}

/** The places below a folder of a store, with their files. What lies there and is no place of ours is passed over. */
export async function* placesIn(store: Store, folder: string): AsyncGenerator<Place> {
  let current: Place | undefined
  for await (const file of store.list(folder)) {
    const place = file.path.split('/').slice(0, depth).join('/')
    if (current?.place === place) {
      current.files.push(file)
      continue
    }
    const parts = parsePlace(place)
    if (!parts) continue
    if (current) yield current
    current = { place, parts, files: [file] }
  }
  if (current) yield current
}
