// Commands of other services, from the stream dbops:commands: each is carried out once, in the transaction that answers it, and the answer goes out as an event.
import { failureOf, Problem } from '@dbops/contract/failure'
import { type Answer, recordSigned, type SignedVerb, signedOnce, signedVerbs, verbs } from '@dbops/ledger/commands'
import { clockOf, isConnectionProblem, type Queryable } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import { commandStream } from '@dbops/runtime/bus'
import { openCommandKeys } from '@dbops/runtime/command-keys'
import type { Service } from '@dbops/runtime/service'
import { type Entry, readStream } from '@dbops/runtime/stream-reader'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { act } from './commands.ts'
import { longestLife, type Refused, type Signed, verify } from './verify-command.ts'

const group = 'scheduler'
/**
 * Events a minute that tell of entries nobody is known to have sent, and as many for each key of entries that are out of time or come again, which
 * anybody can send who has read the stream: a flood fills neither ledger nor mailbox, and is counted.
 */
const toldPerMinute = 30

/** One who signs may ask for work and stop it. To approve, to end an alert or to acknowledge a finding is for a person. */
const shape = z.looseObject({ verb: z.string() })

export function takeSignedCommands(service: Service): void {
  const keys = openCommandKeys(service.config)
  if (!keys.size) return
  const { ledger, log, metrics } = service
  const blocking = service.redis('blocking')
  const prompt = service.redis('prompt')
  const counted = metrics.counter('dbops_commands_total', 'signed commands by what became of them: accepted, or why not', ['outcome'])
  const strangers = perMinute(toldPerMinute)
  const copies = new Map([...keys.keys()].map(key => [key, perMinute(toldPerMinute)]))
  let turned = performance.now()
  service.mustTurn('the reader of dbops:commands', () => performance.now() - turned)

  async function take([entry, fields]: Entry): Promise<boolean> {
    const command = fields ? verify(fields, keys) : undefined
    if (command) {
      try {
        const outcome =
          'reason' in command
            ? await refuseStranger(command)
            : await ledger.transaction(db => carryOut(db, service, entry, command, copies.get(command.key)!))
        counted.inc({ outcome })
      } catch (error) {
        if (isConnectionProblem(error)) throw error // it stays pending, and comes again when the ledger is back
        log.error({ event: 'command_failed', entry, error }, `command ${entry}: ${failureOf(error).message}`)
        return false
      }
    }
    await prompt.xack(commandStream, group, entry)
    // What nobody is known to have sent does not stay for the trimmer: a flood of it would fill Redis meanwhile.
    if (command && 'reason' in command) await prompt.xdel(commandStream, entry)
    return true
  }

  async function refuseStranger(refused: Refused): Promise<string> {
    const more = strangers.take()
    log.debug({ event: 'command_refused', reason: refused.reason, id: refused.id }, refused.message)
    if (more !== undefined) await ledger.transaction(db => tellRefusal(db, service, null, refused, { more }))
    return refused.reason
  }

  const reading = readStream({
    stream: commandStream,
    group,
    consumer: service.name,
    blocking,
    prompt,
    signal: service.signal,
    log,
    take: async entries => {
      let all = true
      for (const entry of entries) {
        if (!(await take(entry))) all = false
        turned = performance.now()
      }
      return all
    },
    onTurn: () => void (turned = performance.now()),
  })
  service.onStop(() => {
    blocking.disconnect() // or its read would last out its five seconds
    return reading
  })
}

/** In the caller's transaction: the command, what it does, and its answer. Returns what became of it. */
async function carryOut(
  db: Queryable,
  service: Service,
  entry: string,
  { id, key, expires, body }: Signed,
  copies: Quota,
): Promise<string> {
  const now = (await clockOf(db)).getTime()
  const refuse = async (reason: Refused['reason'], message: string, hint: string, run?: string | null) => {
    await tellRefusal(db, service, key, { reason, message, hint, id }, { run })
    return reason
  }
  /** Of what bears a good signature, but may have been sent by anybody who saw it. */
  const refuseCopy = async (reason: Refused['reason'], message: string, hint: string, run: string | null = null) => {
    const more = copies.take()
    if (more !== undefined) await tellRefusal(db, service, key, { reason, message, hint, id }, { run, more })
    return reason
  }
  const before = await signedOnce(db, `${key}:${id}`)
  if (before?.entry === entry) return 'delivered_again'
  if (before)
    return refuseCopy(
      'replayed',
      'a command of that id was taken before',
      'each command has an id of its own; the first one stands',
      before.run,
    )
  if (expires <= now) return refuseCopy('expired', `it was good until ${new Date(expires).toISOString()}`, 'sign it anew, with a new id')
  if (expires > now + longestLife)
    return refuseCopy('too_far_ahead', 'it is good for more than five minutes', 'sign it when it is sent; do the clocks agree?')

  const actor = `service:${key}`
  let command: { verb: SignedVerb; body: Record<string, unknown> } = { verb: 'run', body: {} }
  let answer: Answer<object>
  await db.query('savepoint act')
  try {
    command = parse(body)
    answer = await act(db, service, { id: uuidv7(), ...command, actor, role: actor })
  } catch (error) {
    if (isConnectionProblem(error)) throw error
    await db.query('rollback to savepoint act')
    answer = { ok: false, error: failureOf(error) }
  }
  // Two entries of one command at the same moment: the second one is undone, and finds the first when it comes again.
  if (!(await recordSigned(db, { key: `${key}:${id}`, ...command, actor, entry, answer })))
    throw new Problem('it was taken at this moment', { code: 'replayed' })
  const run = (answer as { run?: string }).run ?? null
  if (!answer.ok) {
    const { code, message, hint = '' } = answer.error
    return refuse(code === 'not_for_services' ? code : 'refused', message, hint, run)
  }
  await publish(db, [
    service.event({
      event: 'command_accepted',
      subject: 'scheduler',
      operation: `command:${key}`,
      ...(run ? { runId: run } : {}),
      data: { command: id, key, verb: command.verb, run },
    }),
  ])
  return 'accepted'
}

function parse(text: string): { verb: SignedVerb; body: Record<string, unknown> } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Problem('its body is no JSON', { code: 'bad_body', hint: 'write {"verb": "run", "task": …}' })
  }
  const parsed = shape.safeParse(value)
  if (!parsed.success) throw new Problem('its body names no verb', { code: 'bad_body', hint: `"verb" is one of ${signedVerbs.join(', ')}` })
  const { verb, ...body } = parsed.data
  const known = signedVerbs.find(each => each === verb)
  if (known) return { verb: known, body }
  if (verbs.some(each => each === verb))
    throw new Problem(`to ${verb} is for a person`, {
      code: 'not_for_services',
      hint: `"dbops ${verb} --help"; a service may ${signedVerbs.join(', ')}`,
    })
  throw new Problem(`there is no verb "${verb.slice(0, 40)}"`, { code: 'bad_body', hint: `"verb" is one of ${signedVerbs.join(', ')}` })
}

/** `key`: who signed it, or null where nobody is known to have. A configured name may be any word. */
const tellRefusal = (
  db: Queryable,
  service: Service,
  key: string | null,
  { id, reason, message, hint }: Refused,
  { more = 0, run = null }: { more?: number; run?: string | null },
) =>
  publish(db, [
    service.event({
      event: 'command_refused',
      subject: 'scheduler',
      operation: `command:${key ?? 'unknown'}`,
      data: { command: id, key, reason, message, hint, run, more },
    }),
  ])

interface Quota {
  /** How many were held back since the last one that went out, or undefined where this one is held back too. */
  take(): number | undefined
}

function perMinute(most: number): Quota {
  let [since, told, heldBack] = [0, 0, 0]
  return {
    take() {
      if (performance.now() - since > 60_000) [since, told] = [performance.now(), 0]
      if (told >= most) {
        heldBack++
        return undefined
      }
      told++
      const more = heldBack
      heldBack = 0
      return more
    },
  }
}
