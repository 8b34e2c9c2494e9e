// The command line. Each command is a file in commands/.
import { runProgram } from './program.ts'

// Nobody reads any more (`| head`): the same as a terminal that was closed, which `up` answers by stopping in order.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  if (!process.emit('SIGHUP')) process.exit(0)
})

process.exit(await runProgram(process.argv.slice(2)))
