// The event of a finding that opened or is gone: said once, with what would mend it.
import type { Envelope } from '@dbops/contract/envelope'
import type { Finding } from '@dbops/ledger/findings'
import type { Service } from './service.ts'

/** The operation is `<source>:<key>`, so each finding is an alert of its own. */
export function findingEvent(
  service: Pick<Service, 'event'>,
  engine: string,
  { target, source, key, level, what, hint, sql, since, evidence, tells }: Finding,
  which: 'opened' | 'gone',
): Envelope {
  return service.event({
    event: tells?.[which] ?? `finding_${which}`,
    subject: `${engine}/${target}`,
    operation: `${source}:${key}`,
    data: { source, key, level, what, hint, sql, since: since.toISOString(), evidence },
  })
}
