// The one way to a server: a given URL, else Docker when an engine answers, else a child process of this one. Callers see a URL.
import { dockerAnswers } from './docker.ts'
import { keepSource, keptSource } from './kept.ts'
import { ServerError } from './server-error.ts'

export interface Server {
  engine: 'pg' | 'neo4j' | 'redis'
  /** With user and password; a superuser's where we started the server. */
  url: string
  source: 'given' | 'docker' | 'native'
  /** The server's own process, when it is a child of ours. */
  pid?: number
  /** Resolves when that process ends, asked to or not, with how it ended ("exit code 1", "SIGKILL"). */
  ended?: Promise<string>
  /** Ends what we started and removes its temporary folder; a given server is left alone. May be called twice. */
  stop: () => Promise<void>
}

export type Started = Omit<Server, 'engine' | 'source'>

export interface Ways {
  engine: Server['engine']
  url?: string
  /** Where the data is kept, as far as this machine's files go; it stays with the way that was taken first. */
  kept?: string
  /** Resolves when the server at the URL answers. */
  ready: (url: string) => Promise<void>
  /** Left out where no image has what is wanted. */
  docker?: (() => Promise<Started>) | undefined
  native: () => Promise<Started>
  say: (line: string) => void
}

/** `DBOPS_SERVERS=native` or `docker` takes the choice away. Errors: ServerError, with what was tried. */
export async function resolveServer({ engine, url, kept, ready, docker, native, say }: Ways): Promise<Server> {
  if (url) {
    await ready(url)
    return { engine, url, source: 'given', stop: async () => {} }
  }
  const former = kept && keptSource(kept)
  const wish = former || process.env.DBOPS_SERVERS
  const answers = docker !== undefined && wish !== 'native' && (await dockerAnswers())
  if (former === 'docker' && !answers)
    throw new ServerError(
      `the data of ${kept} is in a Docker volume, and no Docker engine answers`,
      'Start Docker; or begin anew: ./dbops down --purge',
    )
  if (docker && (wish === 'docker' || answers)) {
    try {
      return taken('docker', await docker())
    } catch (error) {
      if (wish === 'docker') throw error
      say(`Docker answers but gives no ${engine} server (${(error as Error).message}); starting a native one`)
    }
  }
  return taken('native', await native())

  function taken(source: 'docker' | 'native', started: Started): Server {
    if (kept) keepSource(kept, source)
    let stopped: Promise<void> | undefined
    return { engine, source, ...started, stop: () => (stopped ??= started.stop()) }
  }
}
