// When a run that is approved now would begin, by the same rules by which the scheduler decides it.
import { formatDuration } from '@dbops/contract/duration'
import { localText } from '@dbops/contract/local-time'
import type { Run } from '@dbops/ledger/runs'
import type { Config } from '@dbops/runtime/config'
import { judge, questionOf } from '@dbops/runtime/policy'
import { away } from '../moment.ts'

/** `it begins at once`, `it begins 2026-11-26 18:00 Asia/Seoul, in 6h 12m: VACUUM FULL is forbidden …`. Without the configuration nobody knows its windows. */
export function beginWords(run: Run, config: Config | undefined, now: Date): string {
  if (!config) return 'it begins as soon as windows and policies let it; with --config FILE it is said here when'
  const verdict = judge(questionOf(run), config, now)
  if (verdict.verdict === 'refuse') return `it would be refused: ${verdict.reason}`
  if (verdict.verdict === 'wait')
    return `it begins ${localText(verdict.until, config.zone)}, ${away(verdict.until, now)}: ${verdict.reason}`
  if (!verdict.startBy) return 'it begins at once'
  const left = formatDuration(Math.round((verdict.startBy.getTime() - now.getTime()) / 60_000) * 60_000)
  return `it begins at once; ${left} from now it would be too late for this window, until ${localText(verdict.until!, config.zone)}`
}
