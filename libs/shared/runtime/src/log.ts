// Log lines: one JSON object each, on standard output, with the event's name as `event`, and nothing secret in any text.
import { type Logger, pino } from 'pino'
import { redact } from './redact.ts'

export type Log = Logger

/** `app` and `service` stand in every line. Times are ISO 8601; pino has no `critical`: it is level 60, printed as `critical`. */
export function openLog(app: string, service: string, level = process.env['DBOPS_LOG_LEVEL'] ?? 'info'): Log {
  return pino({
    level,
    base: { app, service },
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'message',
    errorKey: 'error',
    formatters: { level: (label, number) => ({ level: number === 60 ? 'critical' : label }) },
    serializers: {
      error: (error: unknown) => (error instanceof Error ? { code: (error as { code?: string }).code, message: error.message } : error),
    },
    hooks: { streamWrite: line => redact(line) },
  })
}
