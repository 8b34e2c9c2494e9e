// What `up` shows on a terminal: one page in place of lines. The lines go to a file; those that matter are said again when the page has gone.
import { appendFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Ledger } from '@dbops/ledger/ledger'
import type { Config } from '@dbops/runtime/config'
import { localZone } from '../moment.ts'
import type { Model, Told } from '../page/model.ts'
import { pageReader } from '../page/reader.ts'
import { openScreen } from '../page/screen.ts'
import { draw, keepShowing, type Shown } from '../page/show.ts'
import type { Print } from '../print.ts'
import { plainLine, type Said, type Teller } from './teller.ts'

export interface UpPage {
  teller: Teller
  /** From the moment on at which there is a ledger to read; returns the way to stop. */
  watch(ledger: Ledger, config: Config): () => Promise<void>
  /** Everything is there: the last line says from now on what can be done. */
  settled(): void
  /** Gives the terminal to `work`: a question, or a program that asks for a password. */
  lend<T>(work: () => Promise<T>): Promise<T>
  /** Gives the terminal back; from now on lines are lines, beginning with the troubles that only the page has shown. */
  close(): void
}

/** Milliseconds from one drawing to the next. */
const every = 1_000
/** Lines that are kept for the page. */
const most = 200

/** `lines` says what is to be said when there is no page any more. */
export function openUpPage(o: { environment: string; note: string; home: string; print: Print; lines: Teller }): UpPage {
  const { environment, note, home, print, lines } = o
  const log = join(home, 'logs/up.log')
  mkdirSync(join(home, 'logs'), { recursive: true, mode: 0o700 })
  const screen = openScreen()
  const model: Model = { environment, note, seen: undefined, said: [], foot: 'Ctrl-C stops everything', zone: localZone }
  const shown: Shown = { screen, model, colour: (name, text) => print.colour(name, text) }
  let isOpen = true
  let isLent = false
  const begun = performance.now()
  const waiting = setInterval(() => {
    if (model.seen) return clearInterval(waiting)
    model.waited = Math.round((performance.now() - begun) / 1_000)
    draw(shown)
  }, every)
  screen.onChange(() => draw(shown))
  const write = (said: Said, at: Date) => appendFileSync(log, plainLine(said, at), { mode: 0o600 })
  const say: Teller['say'] = (said, at = new Date()) => {
    write(said, at)
    if (!isOpen) return lines.say(said, at)
    if (isLent) lines.say(said, at)
    // What the relay writes to its console stands on the page as an alert.
    if (said.subject.startsWith('alert ')) return
    model.said = [...model.said, { ...said, at }].slice(-most)
    if (said.subject === 'up') model.foot = said.text
    draw(shown)
  }
  return {
    teller: {
      say,
      event: (ce, said) => (isOpen ? write(said, new Date(ce.time)) : lines.event(ce, said)),
    },
    watch(ledger, config) {
      const stopping = new AbortController()
      const watching = keepShowing(shown, pageReader(ledger, config), every, stopping.signal).catch((error: Error) =>
        say({ subject: 'page', text: `it is drawn no more: ${error.message}`, tone: 'bad' }),
      )
      return async () => {
        stopping.abort()
        await watching
      }
    },
    settled() {
      model.foot = 'Ctrl-C stops everything · elsewhere: ./dbops status, runs, alerts, findings'
    },
    async lend(work) {
      isLent = true
      try {
        return await screen.lend(work)
      } finally {
        isLent = false
      }
    },
    close() {
      if (!isOpen) return
      isOpen = false
      clearInterval(waiting)
      screen.close()
      print.environment(environment, note)
      for (const { at, ...said } of model.said.filter(isTrouble)) lines.say(said, at)
      lines.say({ subject: 'up', text: `every line that was said: ${log}` })
    },
  }
}

const isTrouble = ({ tone }: Told) => tone === 'bad' || tone === 'odd'
