// The checks are led to the original in place of the copy.
import type { Mutation } from '../restore/mutation.ts'

const whoAnswers = `SELECT system_identifier::text AS id FROM pg_control_system()`

export const otherServer: Mutation = {
  name: 'other-server',
  about: 'the original in place of the copy',
  level: 'database',
  async apply({ pg, manifest }) {
    const [{ id }] = (await pg.query<{ id: string }>(whoAnswers)) as [{ id: string }]
    const server = { ...manifest.server, systemIdentifier: id }
    return { what: 'the server has the system identifier of the original', copy: { manifest: { ...manifest, server } } }
  },
}
