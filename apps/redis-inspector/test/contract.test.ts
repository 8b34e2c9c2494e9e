// Every task of the inspector keeps the contract of tasks.
import { taskContract, tasksIn } from '@dbops/testing/task-contract'
import type { RedisVerbs } from '../src/task.ts'

for (const [expected, task] of await tasksIn<RedisVerbs>('redis', new URL('../src/tasks/', import.meta.url))) taskContract(expected, task)
