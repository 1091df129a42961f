/** argv to command to exit code. */
import type { Config } from '../config/options.ts';
import { isDbError } from '../errors/db-error.ts';
import { version } from '../support/version.generated.ts';
import { AdminClient, serverUrl } from './admin-client.ts';
import { type Parsed, parseArguments } from './arguments.ts';
import { type Command, textFlag } from './command.ts';
import { errorText } from './error-text.ts';
import { exitCodes, UsageError } from './exit-codes.ts';
import { helpOf, helpText } from './help.ts';
import { readConfig } from './read-config.ts';
import { Terminal } from './terminal.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export async function runCli(argv: readonly string[], environment: Environment): Promise<number> {
  const terminal = new Terminal(process.stdout, process.stderr);
  try {
    return await run(argv, environment, terminal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return exitCodes.unread;
    process.stderr.write(`tidemark: ${errorText(error)}\n`);
    return error instanceof UsageError ? exitCodes.usage : exitCodes.failed;
  }
}

async function run(argv: readonly string[], environment: Environment, terminal: Terminal): Promise<number> {
  const parsed = parseArguments(argv);
  const { flags, command, group } = parsed;
  if (flags['help'] === true) {
    await terminal.print(command === undefined ? helpText(group) : helpOf(command));
    return exitCodes.done;
  }
  if (flags['version'] === true) {
    await terminal.print(version);
    return exitCodes.done;
  }
  if (command !== undefined) return ask(command, parsed, environment, terminal);
  const config = await configOf(flags, environment);
  // Loaded only now: who asks a server does not need one.
  const { serve } = await import('./commands/serve.ts');
  // Whether or not anybody reads what it says, a server goes on.
  return serve(config, (text) => void terminal.print(text).catch(() => undefined));
}

/** Asks the server; the first Ctrl-C closes the connection, by which the server knows. */
async function ask(
  command: Command,
  { args, flags }: Parsed,
  environment: Environment,
  terminal: Terminal,
): Promise<number> {
  // Settings of a server are no flags here.
  const config = await configOf({ config: flags['config'] }, environment);
  const interrupt = new AbortController();
  const onSignal = () => interrupt.abort(new Interrupted());
  process.once('SIGINT', onSignal);
  try {
    return await command.run({
      args,
      flags,
      database: textFlag(flags, 'database'),
      isJson: flags['json'] === true,
      client: new AdminClient(serverUrl(textFlag(flags, 'server'), config), interrupt.signal),
      terminal,
    });
  } catch (error) {
    if (interrupt.signal.aborted) return exitCodes.interrupted;
    throw error;
  } finally {
    terminal.clear();
    process.off('SIGINT', onSignal);
  }
}

class Interrupted extends Error {}

async function configOf(flags: Parsed['flags'], environment: Environment): Promise<Config> {
  try {
    return await readConfig(flags, environment);
  } catch (error) {
    if (!isDbError(error)) throw error;
    throw new UsageError(error.message, { cause: error });
  }
}
