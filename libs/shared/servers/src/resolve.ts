// The one way to a server: a given URL, else Docker when an engine answers, else a child process of this one. Callers see a URL.
import { connect } from 'node:net'

export type Engine = 'pg' | 'neo4j' | 'redis'

export interface Server {
  engine: Engine
  /** With user and password; a superuser's where we started the server. */
  url: string
  source: 'given' | 'docker' | 'native'
  /** The server's own process, when it is a child of ours. */
  pid?: number
  /** Ends what we started and removes its temporary folder; a given server is left alone. May be called twice. */
  stop(): Promise<void>
}

export interface Ways {
  engine: Engine
  url?: string
  /** Resolves when the server at the URL answers. */
  ready: (url: string) => Promise<void>
  /** Absent when this server cannot come from Docker, for example because its data folder belongs to a native one. */
  docker?: () => Promise<Omit<Server, 'engine' | 'source'>>
  native: () => Promise<Omit<Server, 'engine' | 'source'>>
  say: (line: string) => void
}

/** `DBOPS_SERVERS=native` or `docker` takes the choice away. Errors: ServerError, with what was tried. */
export async function resolveServer({ engine, url, ready, docker, native, say }: Ways): Promise<Server> {
  if (url) {
    await ready(url)
    return { engine, url, source: 'given', stop: async () => {} }
  }
  const wish = process.env.DBOPS_SERVERS
  if (docker && wish !== 'native' && (wish === 'docker' || (await dockerAnswers()))) {
    try {
      return once({ engine, source: 'docker', ...(await docker()) })
    } catch (error) {
      if (wish === 'docker') throw error
      say(`Docker answers but gives no ${engine} server (${(error as Error).message}); starting a native one`)
    }
  }
  return once({ engine, source: 'native', ...(await native()) })
}

function once(server: Server): Server {
  let stopped: Promise<void> | undefined
  return { ...server, stop: () => (stopped ??= server.stop()) }
}

/** Whether a Docker engine accepts connections within 300 ms; the client alone is no engine. */
export function dockerAnswers(host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock'): Promise<boolean> {
  const { protocol, hostname, port, pathname } = new URL(host)
  if (protocol !== 'unix:' && protocol !== 'tcp:' && protocol !== 'http:') return Promise.resolve(false)
  return new Promise(resolve => {
    const socket = protocol === 'unix:' ? connect(pathname) : connect(Number(port) || 2375, hostname)
    const answer = (yes: boolean) => {
      socket.destroy()
      resolve(yes)
    }
    socket.setTimeout(300, () => answer(false))
    socket.once('error', () => answer(false))
    socket.once('data', data => answer(data.toString('latin1').startsWith('HTTP/1.1 200')))
    socket.write('GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n')
  })
}
