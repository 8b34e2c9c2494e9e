// The command line. Each command is a file in commands/.
import { runProgram } from './program.ts'

// Nobody reads any more (`| head`, a closed terminal). `up` answers that as a hang-up, by stopping in order; everybody else has nothing left to do.
let readerIsGone = false
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // What is still said on the way out fails as well.
    if (readerIsGone) return
    readerIsGone = true
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error
    if (!process.emit('SIGHUP', 'SIGHUP')) process.exit(0)
  })

const exit = await runProgram(process.argv.slice(2))
// A pipe takes 64 KiB at once: what its reader has not taken yet would be lost with the process.
for (const stream of [process.stdout, process.stderr]) await new Promise(taken => stream.write('', taken))
process.exit(exit)
