// Into a Redis that speaks TLS: as the three words of the configuration promise, and no further.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { freePort } from '@dbops/servers/free-port'
import { startRedis } from '@dbops/servers/redis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { redis } from '../src/redis.ts'

const place = mkdtempSync(join(tmpdir(), 'redis-tls-'))
const [key, certificate] = [join(place, 'key.pem'), join(place, 'certificate.pem')]
let server: Awaited<ReturnType<typeof startRedis>>
let url: string
beforeAll(async () => {
  // Its own issuer, for a name that is not the address at which it is called.
  const issue = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    certificate,
    '-days',
    '2',
    '-subj',
    '/CN=redis.test',
  ]
  execFileSync('openssl', issue, { stdio: 'ignore' })
  const tlsPort = await freePort()
  server = await startRedis({
    settings: { tlsPort, tlsCertFile: certificate, tlsKeyFile: key, tlsCaCertFile: certificate, tlsAuthClients: 'no' },
  })
  url = `rediss://:${new URL(server.url).password}@127.0.0.1:${tlsPort}`
})
afterAll(async () => {
  await server?.stop()
  rmSync(place, { recursive: true, force: true })
})

test.each([
  ['no word: verify-full, of which this certificate has neither issuer nor name', undefined, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['require encrypts', { mode: 'require' }, 'PONG'],
  ['verify-ca wants a known issuer', { mode: 'verify-ca' }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['verify-ca is content with it', { mode: 'verify-ca', ca: 'the right one' }, 'PONG'],
  ['verify-full wants the name of the host too', { mode: 'verify-full', ca: 'the right one' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
] as const)('%s', async (_, tls, expected) => {
  const ca = tls && 'ca' in tls ? { ca: readFileSync(certificate, 'utf8') } : {}
  expect(await ping(tls && { mode: tls.mode, ...ca })).toBe(expected)
})

async function ping(tls: { mode: 'require' | 'verify-ca' | 'verify-full'; ca?: string } | undefined): Promise<string> {
  const config = redisTarget.parse({ engine: 'redis', url, ...(tls ? { tls } : {}) })
  const signal = AbortSignal.timeout(5_000)
  try {
    const session = await redis.look({ name: 'platform', environment: 'test', config }, 'dbops:tls:probe:redis.health', signal)
    const answer = await session.verbs.redis.command<string>('PING')
    await session.close()
    return answer
  } catch (error) {
    return failureOf(error).code
  }
}
