// What each service does in the operations Redis, and what there is another's: the rows of deploy/redis/operations.acl, as commands that can be asked for.
import { commandStream, deadLetters, markKey, stream } from './bus.ts'
import type { App } from './config-owners.ts'
import { prefix, queueName } from './queue.ts'
import type { Calls } from './redis-rights.ts'

const engines = ['pg', 'neo4j', 'redis'] as const
const script = 'a'.repeat(40)

const keyOf = (engine: string, last: string) => `${prefix}:${queueName(engine, 'light')}:${last}`
/** As BullMQ puts jobs into the queues of an engine: by scripts. */
const offering = (engine: string): Calls => ({
  [`EVALSHA on ${prefix}:${engine}-*`]: ['evalsha', script, '1', keyOf(engine, 'wait')],
  [`EVAL on ${prefix}:${engine}-*`]: ['eval', 'return 1', '1', keyOf(engine, 'wait')],
  [`HSET on ${prefix}:${engine}-*`]: ['hset', keyOf(engine, 'meta'), 'field', 'value'],
})
/** And as it takes them: by a blocking read too. */
const taking = (engine: string): Calls => ({
  ...offering(engine),
  [`BZPOPMIN on ${prefix}:${engine}-*`]: ['bzpopmin', keyOf(engine, 'marker'), '1'],
  [`XADD on ${prefix}:${engine}-*`]: ['xadd', keyOf(engine, 'events'), '*', 'field', 'value'],
})
const reading = (key: string): Calls => ({
  [`XREADGROUP on ${key}`]: ['xreadgroup', 'GROUP', 'g', 'c', 'COUNT', '1', 'STREAMS', key, '>'],
  [`XGROUP CREATE on ${key}`]: ['xgroup', 'CREATE', key, 'g', '0', 'MKSTREAM'],
  [`XAUTOCLAIM on ${key}`]: ['xautoclaim', key, 'g', 'c', '60000', '0-0'],
  [`XACK on ${key}`]: ['xack', key, 'g', '0-1'],
})
const settingAside: Calls = { [`XADD on ${deadLetters}`]: ['xadd', deadLetters, '*', 'field', 'value'] }
const always: Calls = { INFO: ['info', 'memory'], PING: ['ping'] }
const publishing: Calls = {
  [`EVAL on ${stream} and ${markKey}`]: ['eval', 'return 1', '2', stream, markKey],
  [`XADD on ${stream}`]: ['xadd', stream, '*', 'field', 'value'],
  [`SET on ${markKey}`]: ['set', markKey, 'token'],
  [`GET on ${markKey}`]: ['get', markKey],
  [`XINFO GROUPS on ${stream}`]: ['xinfo', 'GROUPS', stream],
  [`XPENDING on ${stream}`]: ['xpending', stream, 'g'],
  [`XRANGE on ${stream}`]: ['xrange', stream, '-', '+'],
  [`XREVRANGE on ${stream}`]: ['xrevrange', stream, '+', '-'],
  [`XLEN on ${stream}`]: ['xlen', stream],
  [`EXISTS on ${stream}`]: ['exists', stream],
  [`XTRIM on ${stream}`]: ['xtrim', stream, 'MINID', '0'],
  [`XTRIM on ${commandStream}`]: ['xtrim', commandStream, 'MINID', '0'],
}
/** What no service does, in any Redis. */
export const nobodys: Calls = {
  FLUSHALL: ['flushall'],
  FLUSHDB: ['flushdb'],
  KEYS: ['keys', '*'],
  'CONFIG SET': ['config', 'set', 'maxmemory', '1'],
  SHUTDOWN: ['shutdown'],
  'ACL SETUSER': ['acl', 'setuser', 'somebody'],
  'keys of other programs': ['get', 'dbops-asks-for-a-key-of-somebody-else'],
}
const theEvents: Calls = { [`XADD on ${stream}`]: ['xadd', stream, '*', 'field', 'value'], [`DEL on ${stream}`]: ['del', stream] }

export interface OperationsCalls {
  needs: Calls
  others: Calls
}

/** By service: what it cannot work without, and what it has no business with. */
export function operationsCalls(app: Exclude<App, 'cli'>): OperationsCalls {
  const queuesBut = (mine?: string): Calls => Object.assign({}, ...engines.filter(engine => engine !== mine).map(offering)) as Calls
  if (app === 'scheduler')
    return {
      needs: {
        ...always,
        ...(Object.assign({}, ...engines.map(offering)) as Calls),
        ...publishing,
        ...reading(stream),
        ...reading(commandStream),
        ...settingAside,
      },
      others: nobodys,
    }
  if (app === 'alert-relay')
    return { needs: { ...always, ...reading(stream), ...settingAside }, others: { ...nobodys, ...theEvents, ...queuesBut() } }
  const engine = app.split('-')[0]!
  return { needs: { ...always, ...taking(engine) }, others: { ...nobodys, ...theEvents, ...queuesBut(engine) } }
}
