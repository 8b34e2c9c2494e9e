// The terminal as one page: taken over while it is open, given back as it was however the process ends, but for SIGKILL.

/** The screen that programs use for themselves, without the lines that scroll away; and no cursor. */
const take = '\x1b[?1049h\x1b[?25l\x1b[2J'
const giveBack = '\x1b[?25h\x1b[?1049l'
// A terminal that knows it draws all between the two at once; the others ignore it.
const [beginDrawing, endDrawing] = ['\x1b[?2026h', '\x1b[?2026l']
const home = '\x1b[H'
const clearToEndOfLine = '\x1b[K'
const clearBelow = '\x1b[J'

export interface Screen {
  readonly width: number
  readonly height: number
  draw(lines: string[]): void
  /** Called when the size has changed and when the process goes on after Ctrl-Z. */
  onChange(redraw: () => void): void
  /** Gives the terminal back for as long as `work` lasts: somebody is asked, or another program writes. */
  lend<T>(work: () => Promise<T>): Promise<T>
  close(): void
}

/** Whether a page can be shown there: a terminal that can do more than a teletype. */
export const canShowPages = (out: Pick<NodeJS.WriteStream, 'isTTY'> = process.stdout) => out.isTTY && process.env['TERM'] !== 'dumb'

export function openScreen(out: NodeJS.WriteStream = process.stdout): Screen {
  let isTaken = false
  let isLent = false
  let redraw = () => {}
  const on = () => {
    if (isTaken) return
    isTaken = true
    out.write(take)
  }
  const off = () => {
    if (!isTaken) return
    isTaken = false
    out.write(giveBack)
  }
  const changed = () => redraw()
  // Ctrl-Z: the shell wants its screen; fg brings ours back.
  const stopped = () => {
    off()
    process.kill(process.pid, 'SIGSTOP')
  }
  const goesOn = () => {
    if (isLent) return
    on()
    redraw()
  }
  process.on('exit', off)
  process.on('SIGTSTP', stopped)
  process.on('SIGCONT', goesOn)
  out.on('resize', changed)
  on()
  return {
    get width() {
      // A line that fills the last column leaves the cursor on it, and clearing from there takes its end away.
      return (out.columns || 80) - 1
    },
    get height() {
      return out.rows || 24
    },
    draw(lines) {
      if (!isTaken) return
      // Back to the first corner in the end: what is typed meanwhile is drawn over, and scrolls nothing.
      out.write(`${beginDrawing}${home}${lines.map(line => line + clearToEndOfLine).join('\r\n')}${clearBelow}${home}${endDrawing}`)
    },
    onChange(work) {
      redraw = work
    },
    async lend(work) {
      isLent = true
      off()
      try {
        return await work()
      } finally {
        isLent = false
        on()
        redraw()
      }
    },
    close() {
      off()
      process.off('exit', off)
      process.off('SIGTSTP', stopped)
      process.off('SIGCONT', goesOn)
      out.off('resize', changed)
    },
  }
}
