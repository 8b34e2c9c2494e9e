// What a path in a store may look like: plain segments that mean the same to a file system, an object store and a shell.
import { Problem } from '@dbops/contract/failure'

const segment = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/

/** No dot in front: `.` and `..` lead elsewhere, and hidden names are a store's own affair. */
export const isSegment = (text: string) => segment.test(text)

export const isPath = (text: string) => text.split('/').every(isSegment)

/** `'a/b/c'` → `['a', 'b', 'c']`. Throws a Problem `bad_path` for everything that could leave the store or mean something to a shell. */
export function segmentsOf(path: string): string[] {
  if (isPath(path)) return path.split('/')
  throw new Problem(`${JSON.stringify(path)} is no path of a store`, {
    code: 'bad_path',
    hint: 'write segments of letters, digits, "_", "-" and "." (not in front), with "/" between them',
  })
}
