// Programs that only tests need and that not every machine can install: what is missing skips its tests, and is an error where CI runs.
import { findOrInstall, type Needed } from '@dbops/servers/install'

/** Installs a program if need be; answers why it is missing, or undefined when it is there. Throws under CI. */
export async function missing(needed: Needed): Promise<string | undefined> {
  try {
    await findOrInstall(needed, { yes: true })
    return undefined
  } catch (error) {
    if (process.env['CI']) throw error
    return (error as Error).message
  }
}
