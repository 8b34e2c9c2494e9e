// The signature of a webhook: the receiver knows who sent the body, and that it is not an old one sent again.
import { createHmac } from 'node:crypto'

/** The value of `Dbops-Signature`: `t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`. */
export function sign(secret: string, body: string, at: Date): string {
  const t = Math.floor(at.getTime() / 1_000)
  return `t=${t},v1=${createHmac('sha256', secret).update(`${t}.${body}`).digest('hex')}`
}
