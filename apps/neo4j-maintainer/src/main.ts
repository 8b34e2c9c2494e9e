// neo4j-maintainer: carries out the tasks and takes the readings of Neo4j targets.
import { startMaintainer } from '@dbops/runtime/maintainer'
import { neo4jDriver } from './neo4j.ts'

await startMaintainer({ app: 'neo4j-maintainer', driver: neo4jDriver, folder: import.meta.dirname })
