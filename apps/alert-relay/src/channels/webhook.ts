// A signed POST of the message as JSON, to any service.
import { parseDuration } from '@dbops/contract/duration'
import { openUrl } from '@dbops/runtime/connection'
import { openSecret } from '@dbops/runtime/secret'
import { defineChannel } from '../channel.ts'
import { post } from '../post.ts'
import { sign } from '../signature.ts'

export default defineChannel({
  type: 'webhook',
  async deliver({ config, path }, message, signal) {
    const body = JSON.stringify(message)
    const headers = {
      'idempotency-key': message.alert.key,
      'dbops-signature': sign(openSecret(config.secret, `${path}.secret`), body, new Date()),
    }
    const url = openUrl('webhook', config.url, `${path}.url`, process.env)
    await post({ url, headers, body, timeout: parseDuration(config.timeout) }, signal)
  },
})
