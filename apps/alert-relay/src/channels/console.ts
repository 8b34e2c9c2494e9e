// One line in this service's own log, as the event `notification`: what `up` shows on the terminal.
import { defineChannel } from '../channel.ts'

export default defineChannel({
  type: 'console',
  async deliver({ name, log }, { alert, target, operation, text }, signal) {
    signal.throwIfAborted()
    const { key, state, severity } = alert
    const level = state === 'resolved' ? 'info' : ({ info: 'info', warning: 'warn', error: 'error', critical: 'fatal' } as const)[severity]
    log[level]({ event: 'notification', channel: name, key, alert: alert.name, state, severity, target, operation }, text)
  },
})
