// What a kept data folder has beside it: who serves it, its password, and whether its data is really in a Docker volume.
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** `docker` or `native`, as the first start chose. A folder stays with that: the other way would show an empty server. */
export function keptSource(folder: string): 'docker' | 'native' | undefined {
  return existsSync(`${folder}.source`) ? (readFileSync(`${folder}.source`, 'utf8').trim() as 'docker' | 'native') : undefined
}

export function keepSource(folder: string, source: 'docker' | 'native'): void {
  writeFileSync(`${folder}.source`, `${source}\n`)
}

/** The password in `<folder>.password`, made on first use: the wanted one or a random one. */
export function keptPassword(folder: string, wanted = randomPassword()): string {
  const file = `${folder}.password`
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  mkdirSync(dirname(file), { recursive: true, mode: 0o711 })
  writeFileSync(file, wanted, { mode: 0o600 })
  return wanted
}

export const randomPassword = () => randomBytes(18).toString('base64url')

export const keptVolume = (folder: string) => `dbops-${createHash('sha256').update(folder).digest('hex').slice(0, 12)}`

/** Removes a kept folder with all that stands beside it, and its volume. Its server must not run. */
export async function removeKept(folder: string): Promise<void> {
  if (keptSource(folder) === 'docker') {
    const { getContainerRuntimeClient } = await import('testcontainers')
    const { container } = await getContainerRuntimeClient()
    await container.dockerode.getVolume(keptVolume(folder)).remove()
  }
  for (const beside of ['', '.source', '.password', '.log', '.claim', '.unfinished'])
    rmSync(folder + beside, { recursive: true, force: true })
}
