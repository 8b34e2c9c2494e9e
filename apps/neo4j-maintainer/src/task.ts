// What a Neo4j task and probe may touch: statements, each in a transaction that carries the name of the attempt.
import { probeOf, taskOf } from '@dbops/contract/task'

export interface StatementOptions {
  /** Default: the home database of the user. Administration commands (SHOW DATABASES) belong to `system`. */
  database?: string
}

export interface Statements {
  /** One statement that reads, in a transaction of its own, retried for up to 15 s when the server says that it may be. Integers come as numbers. */
  read<Row extends object>(cypher: string, parameters?: Record<string, unknown>, options?: StatementOptions): Promise<Row[]>
  /** As `read`, for one that writes. */
  write<Row extends object>(cypher: string, parameters?: Record<string, unknown>, options?: StatementOptions): Promise<Row[]>
}

export interface Neo4j extends Statements {
  /** Of this attempt: `dbops:<installation>:<fence>:<task>`; its connections have it as user agent, its transactions as metadata. */
  readonly name: string
  readonly version: string
  readonly edition: string
}

export interface Neo4jVerbs {
  neo4j: Neo4j
}

export const defineTask = taskOf<Neo4jVerbs>()
export const defineProbe = probeOf<Neo4jVerbs>()
