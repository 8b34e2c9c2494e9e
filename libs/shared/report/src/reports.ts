// Which tasks have a report. What a new one needs: its file in reports/ and its line here.
import type { Language, Report, Source } from './report.ts'
import { keyReviewReport } from './reports/redis-key-review.ts'

export const reports: Record<string, (from: Source, language: Language) => Report> = {
  'redis.key-review': keyReviewReport,
}
