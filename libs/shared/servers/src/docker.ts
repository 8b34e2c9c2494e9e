// A server from an image, by testcontainers: bound to this machine's loopback address, ended by its reaper when we are killed.
import { connect } from 'node:net'
import { claimFolder } from './claim.ts'
import { keptVolume } from './kept.ts'

export interface Image {
  image: string
  /** Inside the container. */
  port: number
  /** On this machine; a free one by default. */
  hostPort?: number
  command?: string[]
  environment?: Record<string, string>
  /** What is kept goes into a volume of its own: the folder on this machine that it stands for, and where the container sees it. */
  keep?: { folder: string; at: string }
  say: (line: string) => void
}

export interface Container {
  /** Host and port as this process reaches them. */
  address: string
  stop: () => Promise<void>
}

/** Errors: what the engine says, for example that an image is not there and cannot be pulled. */
export async function startContainer({ image, port, hostPort, command, environment, keep, say }: Image): Promise<Container> {
  // Only here: nobody should pay for its import who has no engine.
  const { GenericContainer } = await import('testcontainers')
  class LoopbackContainer extends GenericContainer {
    // testcontainers publishes on every address of the machine, and has no option for it. A remote engine has its own loopback.
    protected override async beforeContainerCreated() {
      if (!isLocal()) return
      for (const bindings of Object.values(this.hostConfig.PortBindings as Record<string, { HostIp?: string }[]>))
        for (const binding of bindings) binding.HostIp = '127.0.0.1'
    }
  }
  const container = new LoopbackContainer(image)
    .withExposedPorts(hostPort ? { container: port, host: hostPort } : port)
    .withStartupTimeout(120_000)
  if (command) container.withCommand(command)
  if (environment) container.withEnvironment(environment)
  if (keep) container.withBindMounts([{ source: keptVolume(keep.folder), target: keep.at }])
  const claim = keep && (await claimFolder(keep.folder, 'SIGTERM', say))
  try {
    const started = await container.start()
    return {
      address: `${isLocal() ? '127.0.0.1' : started.getHost()}:${started.getMappedPort(port)}`,
      stop: async () => {
        await started.stop({ timeout: 15_000 })
        claim?.release()
      },
    }
  } catch (error) {
    claim?.release()
    throw error
  }
}

const dockerHost = () => process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock'
const isLocal = () => dockerHost().startsWith('unix:')

/** Whether a Docker engine answers within 300 ms; the client alone is no engine. */
export function dockerAnswers(host = dockerHost()): Promise<boolean> {
  const { protocol, hostname, port, pathname } = new URL(host)
  if (!['unix:', 'tcp:', 'http:'].includes(protocol)) return Promise.resolve(false)
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
