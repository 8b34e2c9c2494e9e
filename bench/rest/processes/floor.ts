// The peer: Node itself, with one timer, in TypeScript as our services are.
const every: number = 1_000
setInterval(() => undefined, every)
process.send?.('ready')
process.once('SIGTERM', () => process.exit(0))
