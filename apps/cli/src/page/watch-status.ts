// `status --watch`: the page of a system that runs somewhere; for scripts the same object again and again.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from '../command.ts'
import { Failed } from '../fail.ts'
import { localZone } from '../moment.ts'
import { pageReader } from './reader.ts'
import { canShowPages, openScreen } from './screen.ts'
import { draw, keepShowing, type Shown } from './show.ts'

/** Until somebody ends it, by Ctrl-C or SIGTERM. `once` says the status once. Fails with exit 2 where there is no terminal. */
export async function watchStatus({ print, connect }: Context, seconds: number, once: () => Promise<void>): Promise<void> {
  if (!print.json && !canShowPages())
    throw new Failed('wrong', 'there is no terminal to draw a page on', {
      hint: 'without --watch it is said once; --json says it again and again',
    })
  const { ledger, environment, config } = await connect()
  const ended = new AbortController()
  const end = () => ended.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end)
  if (print.json) {
    while (!ended.signal.aborted) {
      await once()
      await sleep(seconds * 1_000, undefined, { signal: ended.signal }).catch(() => {})
    }
    return
  }
  const screen = openScreen()
  const model = {
    environment,
    note: config ? `zone of the plan ${config.zone}` : '',
    seen: undefined,
    said: [],
    foot: 'Ctrl-C ends this page, nothing else · ./dbops runs, alerts, findings, locks',
    zone: localZone,
  }
  const shown: Shown = { screen, model, colour: (name, text) => print.colour(name, text) }
  screen.onChange(() => draw(shown))
  try {
    await keepShowing(shown, pageReader(ledger, config), seconds * 1_000, ended.signal)
  } finally {
    screen.close()
  }
}
