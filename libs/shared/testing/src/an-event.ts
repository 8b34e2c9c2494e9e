// An event that is right in every respect and means nothing, for tests of what carries events.
import { type Envelope, toEnvelope } from '@dbops/contract/envelope'
import { v7 as uuidv7 } from 'uuid'

/** `weight`: characters of padding. */
export const anEvent = ({
  id = uuidv7(),
  environment = 'dev',
  weight = 1,
}: {
  id?: string
  environment?: string
  weight?: number
} = {}): Envelope =>
  toEnvelope({
    id,
    app: 'test',
    event: 'catalog_mismatch',
    subject: 'test',
    operation: 'test',
    environment,
    at: new Date(),
    data: { service: 'a', mine: 'b', theirs: 'c'.repeat(weight) },
  })
