// `version`: what is installed here.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'version',
  summary: 'Says what is installed here',
  examples: [['./dbops version', 'for a report of something odd']],
  async run({ print }) {
    const [{ programVersion }, { catalogHash }] = await Promise.all([
      import('@dbops/ledger/program-version'),
      import('@dbops/catalog/catalog'),
    ])
    const facts = { version: programVersion, node: process.version, catalog: catalogHash.slice(0, 12) }
    print.record(facts)
    print.line(`dbops ${facts.version}  node ${facts.node}  catalogue ${facts.catalog}`)
  },
})
