// The derived page docs/reference/cli.md: every command with its arguments, options and examples, as the command's own file declares it.
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Command, commonOptions, type OptionDeclaration } from '../apps/cli/src/command.ts'
import { exitMeanings, exits } from '../apps/cli/src/exits.ts'
import { page, table } from './reference.ts'

const folder = 'apps/cli/src/commands'

/** Those of the files under `root`, by their words; none where there is no command line. */
export async function readCommands(root: string): Promise<Command[]> {
  if (!existsSync(join(root, folder))) return []
  const files = readdirSync(join(root, folder)).filter(name => name.endsWith('.ts'))
  const read = async (file: string) => ((await import(pathToFileURL(join(root, folder, file)).href)) as { command: Command }).command
  return (await Promise.all(files.map(read))).toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

export const cliPage = (commands: Command[]) =>
  page(
    'Command line',
    '`./dbops COMMAND --help` shows the same. Everything has `--json`, one object a line; keys may become more, none goes away within a major version.',
    table(
      ['Command', 'What it does'],
      commands.map(command => [`[\`${usage(command)}\`](#${anchor(command)})`, command.summary]),
    ),
    '## Options of every command',
    optionTable(commonOptions),
    '## Exit codes',
    table(
      ['Code', 'Meaning'],
      Object.entries(exits).map(([name, code]) => [String(code), exitMeanings[name as keyof typeof exits]]),
    ),
    'What cannot be done is told on standard error: a line and a hint; with `--json` one object, `{"error": {"code", "message", "hint", "exitCode"}}`, of a wrong configuration with all its faults in `errors`. A run, a check or a test that ended badly is told by its own record on standard output.',
    ...commands.map(section),
  )

const section = (command: Command) =>
  [
    `## \`${usage(command)}\``,
    `${command.summary}.`,
    table(
      ['Argument', 'Meaning'],
      Object.entries(command.arguments ?? {}).map(([form, about]) => [`\`${form}\``, about]),
    ),
    optionTable(command.options ?? {}),
    ...(command.children ? ['One command for each task, with the parameters of the task as its options: [tasks.md](tasks.md).'] : []),
    `\`\`\`sh\n${command.examples.map(([line, does]) => `${line}   # ${does}`).join('\n')}\n\`\`\``,
  ]
    .filter(Boolean)
    .join('\n\n')

const optionTable = (options: Record<string, string | OptionDeclaration>) =>
  table(
    ['Option', 'Meaning'],
    Object.entries(options).map(([form, option]) => [`\`${form}\``, typeof option === 'string' ? option : meaning(option)]),
  )

const meaning = ({ about, choices, default: value }: OptionDeclaration) =>
  [about, choices ? `one of ${choices.join(', ')}` : '', value === undefined ? '' : `default ${String(value)}`].filter(Boolean).join('; ')

const usage = ({ path, arguments: given = {} }: Command) => [path, ...Object.keys(given)].join(' ')
/** As GitHub makes it of the heading. */
const anchor = (command: Command) =>
  usage(command)
    .toLowerCase()
    .replaceAll(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-')
