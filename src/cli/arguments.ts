/** argv to a command and its arguments. Everything throws `UsageError`. */
import { parseArgs } from 'node:util';
import { optionEntries } from '../config/options.ts';
import { messageOf } from '../errors/db-error.ts';
import type { Command, Flag } from './command.ts';
import { commands } from './commands/all.ts';
import { UsageError } from './exit-codes.ts';

/** What every command that asks a server understands. */
export const askFlags: Readonly<Record<string, Flag>> = {
  database: {
    type: 'string',
    value: 'NAME',
    help: 'the database; `default` unless the command says otherwise',
  },
  json: { type: 'boolean', help: "the server's JSON, one value a line, instead of text for people" },
  server: {
    type: 'string',
    value: 'URL',
    help: 'http://HOST:PORT of the server. Default: proxy.ip and metrics.port of the configuration',
  },
  config: {
    type: 'string',
    value: 'FILE',
    help: 'configuration file; default tidemark.yaml, if there is one',
  },
};

/** Far above any path or name; Node takes time by the square of the length of `-abc...`. */
const MAX_ARGUMENT_LENGTH = 8192;

export interface Parsed {
  readonly flags: Readonly<Record<string, unknown>>;
  /** Absent: the server itself. */
  readonly command: Command | undefined;
  /** The word before the commands it begins, when help for all of those is wanted. */
  readonly group: string | undefined;
  readonly args: readonly string[];
}

export function parseArguments(argv: readonly string[]): Parsed {
  const { flags, words } = split(argv);
  const command = commands.find((each) => each.words.every((word, i) => words[i] === word));
  const [first = 'serve', second] = words;
  const wantsHelp = flags['help'] === true;
  if (command === undefined) {
    const group = commands.some((each) => each.words[0] === first) ? first : undefined;
    if (group !== undefined && wantsHelp && second === undefined) return { flags, command, group, args: [] };
    if (group !== undefined) throw new UsageError(groupMessage(group, second));
    if (first !== 'serve') throw new UsageError(`unknown command '${first}'`);
    if (second !== undefined) throw new UsageError(`unexpected argument '${second}'`);
    checkFlags('serve', flags, serveFlags);
    return { flags, command, group, args: [] };
  }
  const args = words.slice(command.words.length);
  checkFlags(command.words.join(' '), flags, { ...askFlags, ...command.flags });
  if (!wantsHelp) checkCount(command, args);
  return { flags, command, group: undefined, args };
}

function groupMessage(group: string, second: string | undefined): string {
  const names = commands.flatMap(({ words }) => (words[0] === group ? [words[1]] : [])).join(', ');
  return second === undefined
    ? `'${group}' needs one of ${names}`
    : `unknown command '${group} ${second}': there is ${names}`;
}

function checkCount({ words, synopsis, arity: [least, most] }: Command, args: readonly string[]): void {
  const usage = `tidemark ${[...words, synopsis].join(' ')}`.trimEnd();
  if (args.length > most) throw new UsageError(`unexpected argument '${args[most]}': ${usage}`);
  if (args.length < least) throw new UsageError(`too few arguments: ${usage}`);
}

function checkFlags(command: string, flags: Parsed['flags'], known: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(flags))
    if (!(name in known) && name !== 'help' && name !== 'version')
      throw new UsageError(`'tidemark ${command}' has no flag '--${name}'`);
}

type Options = Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }>;

const serveFlags: Options = Object.fromEntries([
  ...optionEntries.flatMap(({ name, option }) =>
    [name, ...(option.flag === undefined ? [] : [option.flag])].map((flag) => [
      flag,
      { type: 'string' as const },
    ]),
  ),
  ['config', { type: 'string' as const }],
]);

/** Every flag of every command is known before the command is: flags may stand before it. */
function allFlags(): Options {
  const asked = [askFlags, ...commands.map(({ flags }) => flags)].flatMap((flags) => Object.entries(flags));
  return {
    ...serveFlags,
    ...Object.fromEntries(asked.map(([name, { type, multiple = false }]) => [name, { type, multiple }])),
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
  };
}

function split(argv: readonly string[]): Pick<Parsed, 'flags'> & { readonly words: readonly string[] } {
  const long = argv.find(({ length }) => length > MAX_ARGUMENT_LENGTH);
  if (long !== undefined)
    throw new UsageError(`an argument has ${long.length} characters: ${long.slice(0, 40)}...`);
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: allFlags(),
      allowPositionals: true,
    });
    return { flags: values, words: positionals };
  } catch (error) {
    throw new UsageError(messageOf(error).split('. ')[0] ?? '', { cause: error });
  }
}
