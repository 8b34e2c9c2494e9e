import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test, vi } from 'vitest'
import { dockerAnswers } from '../src/docker.ts'
import { keepSource } from '../src/kept.ts'
import { startRedis } from '../src/redis.ts'

const place = mkdtempSync(join(tmpdir(), 'servers-test-'))
afterAll(() => rmSync(place, { recursive: true, force: true }))
afterEach(() => vi.unstubAllEnvs())

test('a client without an engine is no engine', async () => {
  expect(await dockerAnswers(`unix://${place}/nobody.sock`)).toBe(false)
})

test('an engine is one that answers to a ping, in time', async () => {
  const silent = createServer(() => {}).listen(`${place}/silent.sock`)
  const engine = createServer((request, response) => response.writeHead(request.url === '/_ping' ? 200 : 404).end('OK')).listen(
    `${place}/engine.sock`,
  )
  await Promise.all([once(silent, 'listening'), once(engine, 'listening')])
  expect([await dockerAnswers(`unix://${place}/silent.sock`), await dockerAnswers(`unix://${place}/engine.sock`)]).toEqual([false, true])
  silent.closeAllConnections()
  silent.close()
  engine.close()
})

test('an engine that cannot give the server is told, and a native one is started', async () => {
  const broken = createServer((request, response) =>
    response.writeHead(request.url?.endsWith('/_ping') ? 200 : 500).end('no space left'),
  ).listen(`${place}/broken.sock`)
  await once(broken, 'listening')
  vi.stubEnv('DOCKER_HOST', `unix://${place}/broken.sock`)
  const said: string[] = []
  const server = await startRedis({ say: line => said.push(line) })
  await server.stop()
  broken.closeAllConnections()
  broken.close()
  expect([server.source, said[0]]).toEqual(['native', expect.stringMatching(/^Docker answers but gives no redis server/)])
})

test('data that was begun in Docker is not shown as an empty native server', async () => {
  const dir = join(place, 'redis')
  keepSource(dir, 'docker')
  vi.stubEnv('DOCKER_HOST', `unix://${place}/nobody.sock`)
  await expect(startRedis({ dir })).rejects.toThrow(`the data of ${dir} is in a Docker volume, and no Docker engine answers`)
})

test('who wants native gets native, whatever answers', async () => {
  vi.stubEnv('DBOPS_SERVERS', 'native')
  const server = await startRedis()
  await server.stop()
  expect(server.source).toBe('native')
})
