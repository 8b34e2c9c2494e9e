// Shows a configuration as a service would understand it, without the value of any secret; or the secrets that a service opens, where each comes from and whether it can be opened here.
import { join } from 'node:path'
import { checkConfig } from '@dbops/runtime/config'
import { openAll } from '@dbops/runtime/config-owners'
import { type ConfigError, ConfigProblem } from '@dbops/runtime/config-problem'
import { asYaml, rendered } from '@dbops/runtime/config-render'
import { appNamed } from './check-config.ts'
import type { Context } from './command.ts'
import { homeOfUp, root } from './home.ts'

export async function renderConfig({ args, options, print }: Context): Promise<void> {
  const file = (args[0] as string | undefined) ?? options.config ?? join(root, 'config/sample.yaml')
  const app = appNamed(options['app'])
  const env = { DBOPS_HOME: homeOfUp(), ...process.env }
  const { config, errors, written } = checkConfig(file, { env })
  if (!config) throw new ConfigProblem(errors as [ConfigError, ...ConfigError[]])
  if (app) {
    print.environment(config.environment, `what ${app} opens of ${file}, here`)
    print.rows(
      openAll(app, config, env),
      [
        { head: 'secret', of: ({ path }) => path, colour: () => 'bold' },
        { head: 'from', of: ({ from }) => fromWords(from) },
        {
          head: 'here',
          of: ({ problem }) => (problem ? `${problem.message}; ${problem.hint}` : 'can be opened'),
          colour: ({ problem }) => (problem ? 'red' : 'green'),
        },
      ],
      'nothing',
    )
    return
  }
  const shown = rendered(config)
  print.record(shown)
  print.line(`# ${file} as it is understood; secrets are masked`)
  print.line(asYaml(shown, written).trimEnd())
}

function fromWords(from: string | { env: string } | { file: string }): string {
  if (typeof from === 'string') return from
  return 'env' in from ? `variable ${from.env}` : `file ${from.file}`
}
