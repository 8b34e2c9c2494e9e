// The checks in the order in which they are run and told, and the faults by which they are tried. A new one is a file and a line here.
import { checksums } from '../checks/checksums.ts'
import { constraints } from '../checks/constraints.ts'
import { corruption } from '../checks/corruption.ts'
import { counts } from '../checks/counts.ts'
import { extensions } from '../checks/extensions.ts'
import { freshness } from '../checks/freshness.ts'
import { grants } from '../checks/grants.ts'
import { indexes } from '../checks/indexes.ts'
import { noJobs } from '../checks/no-jobs.ts'
import { opened } from '../checks/opened.ts'
import { owners } from '../checks/owners.ts'
import { relations } from '../checks/relations.ts'
import { rowSecurity } from '../checks/row-security.ts'
import { sequences } from '../checks/sequences.ts'
import { statistics } from '../checks/statistics.ts'
import { triggers } from '../checks/triggers.ts'
import { views } from '../checks/views.ts'
import { constraintUnvalidated } from '../mutations/constraint-unvalidated.ts'
import { extensionChanged } from '../mutations/extension-changed.ts'
import { flippedByte } from '../mutations/flipped-byte.ts'
import { grantLost } from '../mutations/grant-lost.ts'
import { indexDamaged } from '../mutations/index-damaged.ts'
import { indexInvalid } from '../mutations/index-invalid.ts'
import { jobLeft } from '../mutations/job-left.ts'
import { otherServer } from '../mutations/other-server.ts'
import { ownerChanged } from '../mutations/owner-changed.ts'
import { policyOpened } from '../mutations/policy-opened.ts'
import { policyStripped } from '../mutations/policy-stripped.ts'
import { roleUnbound } from '../mutations/role-unbound.ts'
import { rowsAged } from '../mutations/rows-aged.ts'
import { rowsRemoved } from '../mutations/rows-removed.ts'
import { sequenceSetBack } from '../mutations/sequence-set-back.ts'
import { statisticsLost } from '../mutations/statistics-lost.ts'
import { tableMissing } from '../mutations/table-missing.ts'
import { triggerDisabled } from '../mutations/trigger-disabled.ts'
import { truncated } from '../mutations/truncated.ts'
import { viewEmptied } from '../mutations/view-emptied.ts'
import type { Check } from './check.ts'
import type { Mutation } from './mutation.ts'

export const checks: readonly Check[] = [
  checksums,
  opened,
  noJobs,
  relations,
  extensions,
  owners,
  grants,
  constraints,
  indexes,
  triggers,
  sequences,
  counts,
  freshness,
  views,
  rowSecurity,
  statistics,
  corruption,
]

export const mutations: readonly Mutation[] = [
  truncated,
  flippedByte,
  otherServer,
  jobLeft,
  tableMissing,
  extensionChanged,
  ownerChanged,
  grantLost,
  constraintUnvalidated,
  indexInvalid,
  triggerDisabled,
  sequenceSetBack,
  rowsRemoved,
  rowsAged,
  viewEmptied,
  policyStripped,
  policyOpened,
  roleUnbound,
  statisticsLost,
  indexDamaged,
]
