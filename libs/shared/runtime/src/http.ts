// The page of a service for probes and scrapers: /health/live, /health/ready, /metrics. It answers from the first moment, also while everything else is away.
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Metrics } from './metrics.ts'

export interface Health {
  /** Reasons why the process is to be restarted; empty: it lives. */
  live(): string[]
  /** Reasons why it takes no work; empty: it is ready. */
  ready(): string[]
}

/** Listens on DBOPS_HTTP_HOST (127.0.0.1) and DBOPS_HTTP_PORT (any free one). Resolves with its address. */
export async function servePage(health: Health, metrics: Metrics): Promise<{ address: string; close(): Promise<void> }> {
  const host = process.env['DBOPS_HTTP_HOST'] ?? '127.0.0.1'
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, { error: 'only GET' })
    if (path === '/health/live') return report(response, health.live())
    if (path === '/health/ready') return report(response, health.ready())
    if (path === '/metrics')
      return void metrics.registry.metrics().then(
        text => response.writeHead(200, { 'content-type': metrics.registry.contentType }).end(text),
        () => answer(response, 500, { error: 'the metrics could not be collected' }),
      )
    answer(response, 404, { error: 'known: /health/live, /health/ready, /metrics' })
  })
  server.requestTimeout = 5_000
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(Number(process.env['DBOPS_HTTP_PORT'] ?? 0), host, resolve),
  )
  const { port } = server.address() as AddressInfo
  return {
    address: `http://${host}:${port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const report = (response: ServerResponse, reasons: string[]) =>
  answer(response, reasons.length ? 503 : 200, { ok: reasons.length === 0, reasons })
const answer = (response: ServerResponse, status: number, body: unknown) => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
