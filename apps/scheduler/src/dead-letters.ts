// Somebody is told that a reader has set events aside, until each was let go out again or dropped.
import type { Fault } from '@dbops/contract/task'
import { deadLettersByReader } from '@dbops/ledger/dead-letters'
import { installation, saveFindings } from '@dbops/ledger/findings'
import { publish } from '@dbops/ledger/outbox'
import { findingEvent } from '@dbops/runtime/finding-event'
import type { Service } from '@dbops/runtime/service'

const source = { target: installation, source: 'dead-letters' }
const tells = { opened: 'dead_letters_waiting', gone: 'dead_letters_cleared' } as const

/** Once for each reader, however many come. Held by one scheduler at a time: its caller sees to that. */
export const tellDeadLetters = (service: Pick<Service, 'ledger' | 'event'>): Promise<void> =>
  service.ledger.transaction(async db => {
    const faults = (await deadLettersByReader(db)).map(
      ({ reader, waiting }): Fault => ({
        key: reader,
        level: 'warning',
        what: `${waiting} ${waiting === 1 ? 'entry that' : 'entries that'} ${reader} could not take ${waiting === 1 ? 'waits' : 'wait'} for somebody to look at`,
        hint: `look at them, and let them go out again or drop them: ./dbops dlq --reader ${reader}`,
        evidence: { reader, waiting },
        tells,
      }),
    )
    const { opened, gone } = await saveFindings(db, source, faults)
    await publish(db, [
      ...opened.map(one => findingEvent(service, 'dbops', one, 'opened')),
      ...gone.map(one => findingEvent(service, 'dbops', one, 'gone')),
    ])
  })
