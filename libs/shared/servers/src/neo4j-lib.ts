// The jars of the Neo4j Community server: resolved by Maven from the checked-in pom.xml, once per machine, into the user's cache.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findOrInstall, type InstallOptions } from './install.ts'
import { ServerError } from './server-error.ts'

const pom = join(import.meta.dirname, '../neo4j/pom.xml')
const copyDependencies = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies'

/** The server's version, as pom.xml pins it. */
export const neo4jVersion = /<neo4j\.version>(.+?)</.exec(readFileSync(pom, 'utf8'))?.[1] as string

/** The folder with the jars; some 10 s and 123 MB the first time. `$XDG_CACHE_HOME` or ~/.cache, then dbops/neo4j-<version>. */
export async function neo4jLib(options: InstallOptions & { signal?: AbortSignal } = {}): Promise<string> {
  const { say = line => console.error(line), signal } = options
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dbops')
  const lib = join(cache, `neo4j-${neo4jVersion}`)
  if (existsSync(lib)) return lib
  const mvn = await findOrInstall('mvn', options)
  say(`resolving Neo4j ${neo4jVersion} by Maven into ${lib} (123 MB, once per machine)`)
  const begun = performance.now()
  mkdirSync(cache, { recursive: true })
  // Into a folder beside it, renamed when it is whole: a killed or a second resolver never leaves half a server.
  const unfinished = mkdtempSync(`${lib}.`)
  try {
    const argv = ['-B', '-ntp', '-q', '-f', pom, copyDependencies, '-DincludeScope=runtime', `-DoutputDirectory=${unfinished}`]
    await promisify(execFile)(mvn, argv, { signal, maxBuffer: 64 << 20 })
    rename(unfinished, lib)
    say(`Neo4j ${neo4jVersion} resolved in ${Math.round((performance.now() - begun) / 1000)} s`)
    return lib
  } catch (error) {
    signal?.throwIfAborted()
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
    const why = `${stdout}\n${stderr}`.match(/\[ERROR\].*/)?.[0] ?? message
    throw new ServerError(
      `Maven cannot resolve Neo4j ${neo4jVersion}: ${why}`,
      'A mirror is set in ~/.m2/settings.xml; or name a running Neo4j by its URL.',
      { cause: error },
    )
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

// Of two who resolve at once the second finds the name taken, by the same jars.
function rename(unfinished: string, lib: string): void {
  try {
    renameSync(unfinished, lib)
  } catch (error) {
    if (!existsSync(lib)) throw error
  }
}
