// Who types: the name under which deeds are written down.
import { userInfo } from 'node:os'

/** The user of the operating system; its number where it has no name, as in a container. */
export function person(): string {
  try {
    return userInfo().username
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`
  }
}
