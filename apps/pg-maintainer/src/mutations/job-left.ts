// Something in the copy would act by itself: a subscription, which would fetch from the original.
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

export const jobLeft: Mutation = {
  name: 'job-left',
  about: 'a subscription in the copy',
  level: 'database',
  async apply({ pg }) {
    await plant(
      pg,
      `CREATE SUBSCRIPTION dbops_mutation CONNECTION 'dbname=nowhere' PUBLICATION nothing WITH (connect = false, slot_name = NONE)`,
    )
    return { what: 'there is a subscription' }
  },
}
