// One POST to a receiver, with its answer turned into the words of a channel: taken, Later, Permanent, or tried again. Nothing of the address is in an error.
import { Later, Permanent, Problem } from '@dbops/contract/failure'
import { programVersion } from '@dbops/ledger/program-version'
import { retryAfter } from './retry.ts'

/** Milliseconds: a receiver that takes longer gets the same key again. A turn of the delivery loop stays well under a minute by it. */
const longest = 30_000

// Of the 4xx these say "not now": 408 Request Timeout, 425 Too Early, 429 Too Many Requests.
const notNow = new Set([408, 425, 429])

export interface Post {
  url: string
  headers: Record<string, string>
  body: string
  /** Milliseconds, for the whole exchange. */
  timeout: number
}

/** Resolves on 2xx. Follows no redirect: the signed message goes where the configuration says, or nowhere. */
export async function post({ url, headers, body, timeout }: Post, signal: AbortSignal): Promise<void> {
  const response = await exchange(url, headers, body, Math.min(timeout, longest), signal)
  const { status } = response
  await response.body?.cancel().catch(() => undefined)
  if (response.ok) return
  const answered = `the receiver answered ${status}`
  const code = `http_${status}`
  if (status >= 300 && status < 400)
    throw new Problem(`${answered}, a redirect, which is not followed`, { code, hint: 'write the final address into the configuration' })
  if (status >= 400 && status < 500 && !notNow.has(status))
    throw new Permanent(answered, {
      code,
      hint: 'the receiver does not want this message: look at its address and secret in the configuration',
    })
  const after = retryAfter(response.headers.get('retry-after'), new Date())
  throw after === undefined ? new Problem(answered, { code }) : new Later(`${answered} and wants ${after / 1_000} s`, after, { code })
}

async function exchange(url: string, headers: Record<string, string>, body: string, timeout: number, signal: AbortSignal) {
  signal.throwIfAborted()
  const { address, authorization } = withoutCredentials(url)
  try {
    return await fetch(address, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', 'user-agent': `dbops/${programVersion}`, ...authorization, ...headers },
      body,
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeout)]),
    })
  } catch (error) {
    signal.throwIfAborted()
    if ((error as Error).name === 'TimeoutError')
      throw new Problem(`the receiver did not answer within ${timeout / 1_000} s`, { code: 'timeout' })
    // The message of fetch may quote the address; the code of its cause does not.
    const { code = 'network', name = '' } = ((error as Error).cause ?? {}) as { code?: string; name?: string }
    // It was reached; that what listens there speaks something else, another try will not mend, but a person at the address or the proxy before it.
    if (name === 'HTTPParserError' || code.startsWith('HPE_'))
      throw new Problem('the receiver answered, but not in HTTP', {
        code: 'no_http',
        hint: 'is it the address of an HTTP service, and http or https as that service has it?',
      })
    throw new Problem(`the receiver could not be reached (${code})`, { code })
  }
}

/** fetch refuses `https://user:password@host`, quoting it; HTTP has a header for that. */
function withoutCredentials(url: string): { address: URL; authorization: Record<string, string> } {
  const address = new URL(url)
  const { username, password } = address
  if (!username && !password) return { address, authorization: {} }
  address.username = ''
  address.password = ''
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { address, authorization: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } }
}
