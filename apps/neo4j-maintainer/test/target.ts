// A test's way to a server beside the driver under test, and the target as its maintainer sees it.
import { neo4jTarget } from '@dbops/contract/config-file'
import neo4j from 'neo4j-driver'
import type { z } from 'zod'

export const target = (config: Omit<z.input<typeof neo4jTarget>, 'engine'>) => ({
  name: 'graph',
  environment: 'test',
  config: neo4jTarget.parse({ engine: 'neo4j', ...config }),
})

export function place(text: string) {
  const { protocol, host, username, password } = new URL(text)
  return { url: `${protocol}//${host}`, auth: neo4j.auth.basic(username, decodeURIComponent(password)) }
}

/** One statement outside of everything that is tested. */
export async function admin<Row extends object>(url: string, cypher: string): Promise<Row[]> {
  const driver = neo4j.driver(place(url).url, place(url).auth, { disableLosslessIntegers: true, userAgent: 'test' })
  const session = driver.session()
  try {
    return (await session.run<Row>(cypher)).records.map(record => record.toObject())
  } finally {
    await driver.close()
  }
}
