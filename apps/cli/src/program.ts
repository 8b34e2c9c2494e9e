// Makes one program of the files in commands/: words, options, help with examples, and errors in our own words.
import { existsSync, readdirSync } from 'node:fs'
import { programVersion } from '@dbops/ledger/program-version'
import { Command as Commander, type CommanderError, InvalidArgumentError, Option } from 'commander'
import { type Command, type CommonOptions, type Context, commonOptions, type OptionDeclaration } from './command.ts'
import type { Connection } from './connect.ts'
import { fail } from './fail.ts'
import { printer } from './print.ts'

const folder = new URL('./commands/', import.meta.url)
const name = './dbops'
/** Words that are no command themselves: what those below them are about. */
const groups: Record<string, string> = {
  config: 'The configuration: checked, compared with what runs, shown as it is understood.',
  ledger: 'The ledger itself, not what stands in it.',
}

/** Runs the command of `given` (without node and script); resolves to the exit code. */
export async function runProgram(given: string[]): Promise<number> {
  let exit = 0
  // `help runs show` is what `runs show --help` is.
  const asked = given[0] === 'help' ? [...given.slice(1), '--help'] : given
  // `dlq list` is what `dlq` is: of a noun the word alone lists.
  const argv = asked[1] === 'list' && existsSync(new URL(`${asked[0]}.ts`, folder)) ? asked.toSpliced(1, 1) : asked
  const program = new Commander(name.slice(2))
    .usage('COMMAND [options]')
    .description('Database operations that prove their effect: PostgreSQL, Neo4j, Redis.')
    .version(programVersion, '--version', 'the version of this program')
    .addHelpText(
      'after',
      examples([
        [`${name} up`, 'starts everything'],
        [`${name} up --help`, 'what a command can do'],
      ]),
    )
  for (const [form, about] of Object.entries(commonOptions)) program.option(form, about)
  settle(program).configureHelp({ ...program.configureHelp(), visibleCommands: flat, subcommandTerm: term })
  const commands = await commandsFor(argv)
  for (const command of commands) add(parentOf(program, command.path, commands), command, code => (exit = code))
  try {
    await program.parseAsync(argv, { from: 'user' })
    return exit
  } catch (error) {
    // Where the words cannot be understood the options are not known either.
    if (isCommanders(error)) return spoken(error, { json: given.includes('--json'), listedBy: meant(commands, argv)?.listedBy })
    return fail(error, program.opts<CommonOptions>())
  }
}

/** Those whose first word is that of `argv`; all of them for the help and for a word that nobody knows. */
async function commandsFor(argv: string[]): Promise<Command[]> {
  const files = readdirSync(folder).filter(file => file.endsWith('.ts'))
  const words = new Set(argv.filter(word => !word.startsWith('-')))
  const meant = files.filter(file => words.has(file.slice(0, -'.ts'.length).split('-')[0]!))
  const commands = await Promise.all(
    (meant.length ? meant : files).map(async file => ((await import(new URL(file, folder).href)) as { command: Command }).command),
  )
  const children = await Promise.all(commands.map(async command => (argv.includes(command.path) && (await command.children?.())) || []))
  // Parents before children.
  return [...commands, ...children.flat()].sort((a, b) => a.path.localeCompare(b.path))
}

/** `config check` stands below `config`, which is no command itself; its help shows what is below it. */
function parentOf(program: Commander, path: string, all: Command[]): Commander {
  const words = path.split(' ').slice(0, -1)
  return words.reduce((parent, word, i) => {
    const found = parent.commands.find(command => command.name() === word)
    if (found) return found
    const group = `${words.slice(0, i + 1).join(' ')} `
    const first = all.filter(command => command.path.startsWith(group)).map(command => command.examples[0])
    return settle(parent.command(word).description(groups[word] ?? '')).addHelpText('after', examples(first))
  }, program)
}

function add(parent: Commander, command: Command, ended: (exit: number) => void) {
  const word = command.path.split(' ').at(-1)!
  const commander = settle(parent.command(word).summary(command.summary).description(`${command.summary}.`))
  for (const [form, about] of Object.entries(command.arguments ?? {})) commander.argument(form, about)
  for (const [form, option] of Object.entries(command.options ?? {})) commander.addOption(optionOf(form, option))
  if (command.passesOn) commander.allowUnknownOption().allowExcessArguments()
  commander.addHelpText('after', examples(command.examples))
  commander.action(async () => ended(await runCommand(command, commander)))
}

async function runCommand(command: Command, commander: Commander): Promise<number> {
  const options = commander.optsWithGlobals<CommonOptions & Record<string, unknown>>()
  let connection: Promise<Connection> | undefined
  const c: Context = {
    args: commander.processedArgs as Context['args'],
    options,
    print: printer({ json: options.json }),
    connect: () => (connection ??= import('./connect.ts').then(({ connect }) => connect(options.config, options.as))),
    confirm: async (environment, what) => (await import('./confirm.ts')).confirm(environment, what, { yes: options.yes }),
  }
  try {
    return (await command.run(c)) ?? 0
  } finally {
    await connection?.then(
      ({ ledger }) => ledger.close(),
      () => undefined,
    )
  }
}

function optionOf(form: string, declared: string | OptionDeclaration): Option {
  const { about, choices, default: value, parse, repeat } = typeof declared === 'string' ? { about: declared } : declared
  const option = new Option(form, about)
  if (choices) option.choices(choices)
  if (value !== undefined) option.default(value)
  if (parse || repeat)
    option.argParser((text, before: unknown) => {
      const parsed = parse ? checked(parse, text) : text
      return repeat ? [...((before as unknown[] | undefined) ?? []), parsed] : parsed
    })
  return option
}

function checked(parse: (text: string) => unknown, text: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

/** Errors are thrown, and told by us; help lists the common options of every command. */
function settle(commander: Commander): Commander {
  return commander
    .exitOverride()
    .configureHelp({
      showGlobalOptions: true,
      visibleGlobalOptions: common,
      styleTitle: title => title.replace('Global Options', 'Common options'),
    })
    .configureOutput({ outputError: () => {} })
    .helpCommand(false)
    .helpOption('-h, --help', 'this text')
}

/** Those of the program: `runs show` stands below `runs`, and its options are no options of it. */
function common(of: Commander): Option[] {
  let root = of
  while (root.parent) root = root.parent
  return root === of ? [] : [...root.options]
}

/** The first page lists what can be typed, not how it is nested: `runs show <id>` beside `runs`. */
const flat = (of: Commander): Commander[] => of.commands.flatMap(one => [...(one.summary() ? [one] : []), ...flat(one)])
const term = (of: Commander): string => {
  const words = []
  for (let one: Commander = of; one.parent; one = one.parent) words.unshift(one.name())
  return [
    ...words,
    ...of.registeredArguments.map(argument => {
      const inner = `${argument.name()}${argument.variadic ? '...' : ''}`
      return argument.required ? `<${inner}>` : `[${inner}]`
    }),
  ].join(' ')
}

const examples = (all: Command['examples'][number][]) => {
  const width = Math.max(...all.map(([command]) => command.length))
  return `\nExamples:\n${all.map(([command, does]) => `  ${command.padEnd(width)}  ${does}`).join('\n')}`
}

const isCommanders = (error: unknown): error is CommanderError =>
  error instanceof Error && (error as { code?: string }).code?.startsWith('commander.') === true

/** `error: unknown option '--jso'\n(Did you mean --json?)` in the form of every other error. */
async function spoken(error: CommanderError, { json, listedBy }: { json: boolean; listedBy: string | undefined }): Promise<number> {
  if (error.exitCode === 0) return 0
  // A group of commands was named, and none of them; commander has shown its help.
  if (error.code === 'commander.help') return 2
  const { Failed } = await import('./fail.ts')
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n')
  const near = /\(Did you mean (?:one of )?(.*)\?\)/.exec(rest.join(' '))?.[1]
  const listed = error.code === 'commander.missingArgument' && listedBy && `${listedBy} lists them; the last 8 characters of an id will do`
  const hint = near ? `did you mean ${near}?` : listed || `${name} --help`
  return fail(new Failed('wrong', first, { hint }), { json })
}

/** The command whose words stand in `argv`: of `runs` and `runs show` the longer one. */
const meant = (commands: Command[], argv: string[]): Command | undefined => {
  const words = ` ${argv.filter(word => !word.startsWith('-')).join(' ')} `
  return commands.findLast(({ path }) => words.includes(` ${path} `))
}
