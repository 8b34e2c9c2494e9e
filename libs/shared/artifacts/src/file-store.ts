// The store behind file://: a folder of this machine. Written files are on the disk (fsync, also of the folders) before anybody is told so.
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, type FileHandle, link, lstat, mkdir, open, readdir, rm, rmdir, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatSize } from '@dbops/contract/duration'
import { Problem } from '@dbops/contract/failure'
import { abortable } from './abortable.ts'
import type { Store, StoredFile } from './store.ts'
import { isSegment, segmentsOf } from './store-path.ts'

// Backups hold production data: for the owner and, to read, the group.
const folderMode = 0o750
const fileMode = 0o640
const createNew = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW
const chunkSize = 256 * 1024
/** Holds what putExclusive has not linked yet. No segment of a path begins with a dot, so nothing in it is ever listed. */
const drafts = '.drafts'
/** Room for the notes of a sweep, kept beside the drafts and given up when there is no other: a full store must still let itself be emptied. */
const ballast = 'ballast'
const ballastSize = 64 * 1024
/** A draft lives for milliseconds; one that is a day old was left by a process that died. */
const draftAge = 24 * 3_600_000

/** Throws `store_unavailable` unless `url` names a folder that is there and that we may write to. It is never created: a missing one may be a missing mount. */
export async function openFileStore(name: string, url: URL, reserve: number): Promise<Store> {
  if (url.host !== '' || url.search !== '' || url.hash !== '' || /%2f|%00/i.test(url.pathname))
    throw new Problem(`store "${name}": ${url.href} names no folder of this machine`, {
      code: 'store_url_invalid',
      hint: 'write file:///absolute/folder, with three slashes',
    })
  const store = new FileStore(name, url, reserve)
  await store.prepare()
  return store
}

class FileStore implements Store {
  readonly name: string
  readonly location: string
  readonly reserve: number
  readonly #root: string

  constructor(name: string, url: URL, reserve: number) {
    this.name = name
    this.location = url.href.replace(/\/+$/, '')
    this.reserve = reserve
    this.#root = fileURLToPath(url)
  }

  async prepare(): Promise<void> {
    await this.check()
    await mkdir(join(this.#root, drafts), { mode: folderMode }).catch(async (error: unknown) => {
      if (!isCode(error, 'EEXIST', ...fullCodes)) throw await this.#told(error, '')
    })
    await this.#keepBallast()
  }

  async check(): Promise<void> {
    try {
      if (!(await stat(this.#root)).isDirectory()) throw this.#unavailable('it is no folder', 'give the store a folder')
      await access(this.#root, constants.R_OK | constants.W_OK | constants.X_OK)
    } catch (error) {
      throw await this.#told(error, '')
    }
  }

  async put(path: string, source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<{ bytes: number; sha256: string }> {
    signal?.throwIfAborted()
    const { file, handle } = await this.#create(path)
    const hash = createHash('sha256')
    let bytes = 0
    try {
      for await (const chunk of abortable(source, signal)) {
        hash.update(chunk)
        await this.#tell(path, writeAll(handle, chunk))
        bytes += chunk.byteLength
      }
      await this.#tell(
        path,
        handle.sync().then(() => handle.close()),
      )
      await this.#tell(path, this.#syncFolders(file))
      return { bytes, sha256: hash.digest('hex') }
    } catch (error) {
      // Should this fail too, the place has no manifest all the same, and the sweep takes what is left.
      await handle.close().catch(() => {})
      await rm(file, { force: true }).catch(() => {})
      throw error
    }
  }

  async putExclusive(path: string, content: string | Uint8Array): Promise<boolean> {
    await this.#clearDrafts()
    await this.#keepBallast()
    try {
      return await this.#putExclusive(path, content)
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'store_full') throw error
      await rm(join(this.#root, drafts, ballast), { force: true })
      return await this.#putExclusive(path, content)
    }
  }

  async #putExclusive(path: string, content: string | Uint8Array): Promise<boolean> {
    const draft = await this.#createAt([drafts, randomUUID()], path)
    try {
      await this.#tell(path, draft.handle.writeFile(content))
      await this.#tell(path, draft.handle.sync())
      const { file, made } = await this.#link(draft.file, path)
      // Also when the name was taken: whoever is told so relies on it, and its maker may have died before this line.
      await this.#tell(path, this.#syncFolders(file))
      return made
    } finally {
      await draft.handle.close().catch(() => {})
      await rm(draft.file, { force: true }).catch(() => {})
    }
  }

  async *get(path: string): AsyncGenerator<Uint8Array> {
    const handle = await this.#tell(path, this.#open(path))
    try {
      for (;;) {
        // A buffer of its own for each chunk: the consumer may keep it.
        const { bytesRead, buffer } = await this.#tell(path, handle.read(Buffer.allocUnsafe(chunkSize), 0, chunkSize))
        if (bytesRead === 0) return
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await handle.close()
    }
  }

  async read(path: string, limit: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of this.get(path)) {
      bytes += chunk.byteLength
      if (bytes > limit)
        throw new Problem(`${this.location}/${path} is larger than ${formatSize(limit)}`, {
          code: 'file_too_large',
          hint: 'it was not written by this system, or is damaged',
        })
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  async *list(folder: string): AsyncGenerator<StoredFile> {
    // An empty answer of a store that is not there would read as "there are no backups".
    await this.check()
    if (folder !== '') segmentsOf(folder)
    yield* this.#walk(folder)
  }

  async remove(path: string): Promise<void> {
    try {
      const file = await this.#locate(segmentsOf(path))
      await rm(file)
      // An object store knows no folders; here the empty ones go with their last file.
      for (let folder = dirname(file); this.#contains(folder); folder = dirname(folder)) await rmdir(folder)
    } catch (error) {
      if (!isCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY')) throw await this.#told(error, path)
      await this.check()
    }
  }

  async free(): Promise<number> {
    const { bavail, bsize } = await this.#tell('', statfs(this.#root))
    return bavail * bsize
  }

  #contains(folder: string): boolean {
    const inside = relative(this.#root, folder)
    return inside !== '' && !inside.startsWith('..')
  }

  /** The file of a path; every folder on the way must be a real one, so that no link leads out of the store. */
  async #locate(segments: string[], makeFolders = false): Promise<string> {
    let folder = this.#root
    for (const segment of segments.slice(0, -1)) {
      folder = join(folder, segment)
      if (makeFolders)
        await mkdir(folder, { mode: folderMode }).catch((error: unknown) => {
          if (!isCode(error, 'EEXIST')) throw error
        })
      if (!(await lstat(folder)).isDirectory())
        throw this.#unavailable(`${folder} is no folder`, 'links inside a store are not followed: put the folder itself there')
    }
    return join(folder, segments.at(-1)!)
  }

  #create(path: string) {
    return this.#createAt(segmentsOf(path), path)
  }

  async #createAt(segments: string[], path: string): Promise<{ file: string; handle: FileHandle }> {
    return this.#inFolder(segments, path, async file => ({ file, handle: await open(file, createNew, fileMode) }))
  }

  async #link(draft: string, path: string): Promise<{ file: string; made: boolean }> {
    return this.#inFolder(segmentsOf(path), path, async file => {
      try {
        await link(draft, file)
        return { file, made: true }
      } catch (error) {
        if (isCode(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'))
          throw this.#unavailable(
            'its file system has no hard links',
            'sealing a backup needs them: use a file system that has them',
            error,
          )
        if (!isCode(error, 'EEXIST')) throw error
        // Over NFS the answer to a link can get lost and its repetition finds its own work: then our draft has two names.
        return { file, made: (await stat(draft)).nlink === 2 }
      }
    })
  }

  /** Does `work` in a folder that is made when it is missing; again when a sweep has removed the folder, empty until then, in between. */
  async #inFolder<T>(segments: string[], path: string, work: (file: string) => Promise<T>): Promise<T> {
    for (let left = 10; ; left--) {
      await this.check()
      try {
        return await work(await this.#locate(segments, true))
      } catch (error) {
        if (left === 0 || !isCode(error, 'ENOENT')) throw await this.#told(error, path)
      }
    }
  }

  async #open(path: string): Promise<FileHandle> {
    return open(await this.#locate(segmentsOf(path)), readOnly)
  }

  async *#walk(folder: string): AsyncGenerator<StoredFile> {
    for (const entry of await this.#entries(folder)) {
      if (!isSegment(entry.name)) continue
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) yield* this.#walk(path)
      if (!entry.isFile()) continue
      const seen = await this.#unlessGone(path, lstat(join(this.#root, path)))
      if (seen) yield { path, bytes: seen.size, modifiedAt: seen.mtime }
    }
  }

  async #entries(folder: string) {
    const reading = this.#locate([...(folder === '' ? [] : segmentsOf(folder)), '.']).then(at => readdir(at, { withFileTypes: true }))
    const entries = (await this.#unlessGone(folder, reading)) ?? []
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async #unlessGone<T>(path: string, work: Promise<T>): Promise<T | undefined> {
    try {
      return await work
    } catch (error) {
      if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw await this.#told(error, path)
    }
  }

  /** A name is durable once the folder that holds it is, and so on upwards. */
  async #syncFolders(file: string): Promise<void> {
    let folder = file
    do {
      folder = dirname(folder)
      await syncFolder(folder)
    } while (this.#contains(folder))
  }

  async #clearDrafts(): Promise<void> {
    const folder = join(this.#root, drafts)
    for (const name of await readdir(folder).catch(() => [])) {
      if (name === ballast) continue
      const left = await lstat(join(folder, name)).catch(() => undefined)
      if (left && Date.now() - left.mtimeMs > draftAge) await rm(join(folder, name), { force: true }).catch(() => {})
    }
  }

  async #keepBallast(): Promise<void> {
    const file = join(this.#root, drafts, ballast)
    // Random, because a file system that compresses would keep zeros for nothing. No room for it is no reason not to open the store.
    await writeFile(file, randomBytes(ballastSize), { flag: 'wx', mode: fileMode }).catch(async (error: unknown) => {
      if (isCode(error, ...fullCodes)) await rm(file, { force: true })
    })
  }

  async #tell<T>(path: string, work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw await this.#told(error, path)
    }
  }

  /** An error of the file system as a Problem that names the store. */
  async #told(thrown: unknown, path: string): Promise<Error> {
    if (thrown instanceof Problem) return thrown
    const where = `store "${this.name}" (${this.location})`
    if (isCode(thrown, ...fullCodes)) {
      const left = await this.free().catch(() => undefined)
      return new Problem(`${where} is full: ${left === undefined ? 'unknown space' : formatSize(left)} left while ${path} was written`, {
        code: 'store_full',
        hint: 'make room there, or give the store a larger disk; what was half written has been removed',
        cause: thrown,
      })
    }
    if (isCode(thrown, 'EEXIST'))
      return new Problem(`${this.location}/${path} is there already`, {
        code: 'file_exists',
        hint: 'what is stored is never overwritten: choose another name',
        cause: thrown,
      })
    if (path !== '' && isCode(thrown, 'ENOENT', 'ELOOP', 'ENOTDIR') && (await stat(this.#root).catch(() => undefined)))
      return new Problem(`${this.location}/${path} is not there`, {
        code: 'file_missing',
        hint: 'it was removed, or never written',
        cause: thrown,
      })
    if (isCode(thrown, 'ENOENT'))
      return this.#unavailable(
        'the folder does not exist',
        'create it, or mount the disk that holds it: it is never created for you',
        thrown,
      )
    if (isCode(thrown, 'EACCES', 'EPERM', 'EROFS'))
      return this.#unavailable(
        `we may not write there (${codeOf(thrown)})`,
        `give the user that runs this service (uid ${process.getuid?.()}) the right to read and write the folder`,
        thrown,
      )
    return this.#unavailable(
      thrown instanceof Error ? thrown.message : String(thrown),
      'look at the disk or the mount behind that folder',
      thrown,
    )
  }

  #unavailable(why: string, hint: string, cause?: unknown): Problem {
    return new Problem(`store "${this.name}" (${this.location}) cannot be used: ${why}`, { code: 'store_unavailable', hint, cause })
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let done = 0; done < chunk.byteLength; ) done += (await handle.write(chunk, done)).bytesWritten
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const fullCodes = ['ENOSPC', 'EDQUOT']
const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code
const isCode = (error: unknown, ...codes: string[]) => codes.includes(codeOf(error) ?? '')
