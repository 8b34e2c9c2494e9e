// The command line. Each command is a file in commands/.
import { enableCompileCache } from 'node:module'
import { compileCache } from './home.ts'

// Half of what `--help` takes is types being stripped, the same each time. Where the folder cannot be written nothing is kept.
enableCompileCache(compileCache)

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

const { runProgram } = await import('./program.ts')
const exit = await runProgram(process.argv.slice(2))
// What is still on its way to a slow reader of a pipe would end with the process.
for (const stream of [process.stdout, process.stderr]) await new Promise(resolve => stream.write('', resolve))
process.exit(exit)
