import { readFile } from 'node:fs/promises';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/options.ts';
import { DbError, messageOf } from '../errors/db-error.ts';

const DEFAULT_FILE = 'tidemark.yaml';
const MAX_NESTING = 64;

/** Configuration from file, environment and flags. Throws `parameter-invalid` with what is wrong and where. */
export async function readConfig(
  flags: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Config> {
  const given = flags['config'];
  const fileName = typeof given === 'string' ? given : DEFAULT_FILE;
  const text = await readFile(fileName, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' && given === undefined) return undefined;
    throw new DbError('parameter-invalid', `cannot read '${fileName}': ${error.message}`, { cause: error });
  });
  const file = text === undefined ? undefined : await parseYaml(text, fileName);
  return loadConfig({ file, fileName, environment, flags });
}

async function parseYaml(text: string, fileName: string): Promise<unknown> {
  // Loaded only when there is a file: most starts have none, and every start should be quick.
  const { Lexer, Parser, parseDocument } = await import('yaml');
  try {
    // What is nested deeply runs the composer out of stack, which can end the process; this parser keeps a stack of its own.
    const parser = new Parser();
    for (const token of new Lexer().lex(text)) {
      for (const _ of parser.next(token));
      if (parser.stack.length > MAX_NESTING) throw new Error(`nested deeper than ${MAX_NESTING} levels`);
    }
    // Not `parse`: what that only warns of, it tells by a warning of the process, and goes on.
    const document = parseDocument(text, { logLevel: 'silent' });
    const [wrong] = [...document.errors, ...document.warnings];
    if (wrong !== undefined) throw wrong;
    return document.toJS();
  } catch (error) {
    throw new DbError('parameter-invalid', `${fileName}: ${messageOf(error)}`, { cause: error });
  }
}
