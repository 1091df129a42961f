/** argv to command. Exit codes: 0 done, 1 failed, 2 wrong usage. */
import { parseArgs } from 'node:util';
import { type Config, optionEntries } from '../config/options.ts';
import { isDbError, messageOf } from '../errors/db-error.ts';
import { serve } from './commands/serve.ts';
import { helpText } from './help.ts';
import { readConfig } from './read-config.ts';
import { version } from './version.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export async function runCli(argv: readonly string[], environment: Environment): Promise<number> {
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const fail = (text: string, code: number): number => {
    process.stderr.write(`tidemark: ${text}\n`);
    return code;
  };
  try {
    const { flags, command } = parse(argv);
    if (flags['help'] === true) {
      say(helpText());
      return 0;
    }
    if (flags['version'] === true) {
      say(version);
      return 0;
    }
    if (command !== 'serve') return fail(`unknown command '${command}'. See tidemark --help`, 2);
    return await serve(await configOf(flags, environment), say);
  } catch (error) {
    if (error instanceof UsageError) return fail(`${error.message}. See tidemark --help`, 2);
    if (isDbError(error)) return fail(error.message, 1);
    return fail((error instanceof Error && error.stack) || messageOf(error), 1);
  }
}

/** What was typed wrong, in a flag, the file or the environment. */
class UsageError extends Error {}

async function configOf(flags: Parsed['flags'], environment: Environment): Promise<Config> {
  try {
    return await readConfig(flags, environment);
  } catch (error) {
    if (!isDbError(error)) throw error;
    throw new UsageError(error.message, { cause: error });
  }
}

interface Parsed {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly command: string;
}

function parse(argv: readonly string[]): Parsed {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      options: parseOptions(),
      allowPositionals: true,
    });
    if (positionals.length > 1) throw new UsageError(`unexpected argument '${positionals[1]}'`);
    return { flags: values, command: positionals[0] ?? 'serve' };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(messageOf(error).split('. ')[0] ?? '', { cause: error });
  }
}

function parseOptions(): Record<string, { type: 'string' | 'boolean'; short?: string }> {
  const named = optionNames().map((name) => [name, { type: 'string' as const }]);
  return {
    ...Object.fromEntries(named),
    config: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
  };
}

const optionNames = (): readonly string[] =>
  optionEntries.flatMap(({ name, option }) => (option.flag === undefined ? [name] : [name, option.flag]));
