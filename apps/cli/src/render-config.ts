// Shows a configuration as a service would understand it, without the value of any secret.
import { join } from 'node:path'
import { readConfig } from '@dbops/runtime/config'
import { asYaml, rendered } from '@dbops/runtime/config-render'
import type { Context } from './command.ts'
import { homeOfUp, root } from './home.ts'

export async function renderConfig({ args, options, print }: Context): Promise<void> {
  const file = (args[0] as string | undefined) ?? options.config ?? join(root, 'config/sample.yaml')
  const shown = rendered(readConfig(file, { env: { DBOPS_HOME: homeOfUp(), ...process.env } }))
  print.record(shown)
  print.line(`# ${file} as it is understood; secrets are masked`)
  print.line(asYaml(shown).trimEnd())
}
