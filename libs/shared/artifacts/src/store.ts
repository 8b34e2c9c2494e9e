// Where artifacts lie: names with content, written once, streamed, listed. A kind of store (file://, later s3://) is one file that implements this.

export interface StoredFile {
  path: string
  bytes: number
  modifiedAt: Date
}

/**
 * Paths are relative and plain (see store-path.ts), with `/` between segments. What goes wrong is told as a Problem: `store_unavailable`,
 * `store_full`, `file_missing`, `file_exists`, `bad_path`. Errors of a source that is being stored are passed on as they are.
 */
export interface Store {
  /** Its name in the configuration. */
  readonly name: string
  /** Its URL without a slash at the end: `<location>/<path>` is where a person finds a file. */
  readonly location: string
  /** Bytes that a backup must leave free (`free` in the configuration). */
  readonly reserve: number
  /**
   * Stores what `source` yields and hashes it as it passes, one chunk in hand at a time. Resolves when it is durable. When it fails, nothing
   * stays under that name; after a crash a part may, which is why only the manifest makes a backup exist.
   */
  put(path: string, source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<{ bytes: number; sha256: string }>
  /** Stores `content`, unless the name is taken (false). Nobody ever sees a part of it under that name, not even after a crash. */
  putExclusive(path: string, content: string | Uint8Array): Promise<boolean>
  get(path: string): AsyncIterable<Uint8Array>
  /** The whole of a small file; refuses with `file_too_large` above `limit` bytes. */
  read(path: string, limit: number): Promise<Uint8Array>
  /** Every file below a folder (`''`: the whole store); the files of one folder come together. A folder that is not there has none. */
  list(folder: string): AsyncIterable<StoredFile>
  /** A file that is not there is no error. */
  remove(path: string): Promise<void>
  /** Bytes left for us, or null where a store has no such number. */
  free(): Promise<number | null>
}
