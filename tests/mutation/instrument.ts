/** Puts all mutants of some compiled files into those files, each behind a switch. Which mutants there are is Stryker's choice. */
import { readFile, writeFile } from 'node:fs/promises';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseJson } from '../../src/support/json.ts';

export interface Mutant {
  readonly id: string;
  /** Below the project, as it was written. */
  readonly file: string;
  readonly line: number;
  readonly mutator: string;
  readonly original: string;
  readonly replacement: string;
}

interface Position {
  readonly line: number;
  readonly column: number;
}

interface FoundMutant {
  readonly id: string;
  readonly fileName: string;
  readonly mutatorName: string;
  readonly replacement: string;
  readonly status?: string;
  readonly location: { readonly start: Position; readonly end: Position };
}

interface Node {
  readonly type: string;
  readonly name?: string;
  readonly callee?: Node;
  readonly object?: Node;
  readonly property?: Node;
  readonly id?: Node;
}

interface NodePath {
  readonly node: Node;
  readonly parent: Node | null;
  readonly listKey?: string;
  readonly key: string | number;
}

interface Tools {
  readonly Instrumenter: new (
    logger: object,
  ) => {
    instrument(
      files: readonly object[],
      options: object,
    ): Promise<{
      readonly files: readonly { readonly name: string; readonly content: string }[];
      readonly mutants: readonly FoundMutant[];
    }>;
  };
}

/** What people read in errors and logs is no promise of ours: changing it proves nothing. */
const texts = {
  shouldIgnore({ node, parent, listKey, key }: NodePath): string | undefined {
    if (listKey === 'arguments' && key === 1 && isTold(parent)) return 'what an error says';
    if (node.type !== 'CallExpression' || node.callee?.type !== 'MemberExpression') return undefined;
    const isLog = /^(debug|info|warn|error)$/.test(node.callee.property?.name ?? '');
    return isLog ? 'what a log says' : undefined;
  },
};

const isTold = (call: Node | null): boolean =>
  (call?.type === 'NewExpression' && call.callee?.name === 'DbError') ||
  (call?.type === 'CallExpression' && /^(assert|present)$/.test(call.callee?.name ?? ''));

const quiet = () => undefined;
const logger = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: quiet,
  trace: quiet,
  fatal: quiet,
  isDebugEnabled: () => false,
};

/** `files`: below `compiled`, without `.ts`. */
export async function instrument(
  root: string,
  compiled: string,
  files: readonly string[],
): Promise<readonly Mutant[]> {
  const entry = join(root, '.cache/mutation/node_modules/@stryker-mutator/instrumenter/dist/src/index.js');
  const { Instrumenter } = (await import(pathToFileURL(entry).href)) as Tools;
  const named = await Promise.all(
    files.map(async (file) => ({
      name: join(compiled, `${file}.js`),
      content: await readFile(join(compiled, `${file}.js`), 'utf8'),
      mutate: true,
    })),
  );
  const found = await new Instrumenter(logger).instrument(named, {
    plugins: [],
    excludedMutations: [],
    ignorers: [texts],
  });
  for (const { name, content } of found.files) await writeFile(name, content);
  const mutants = await Promise.all(
    files.map(async (file, i) => {
      const { name = '', content = '' } = named[i] ?? {};
      const map = new SourceMap(parseJson(await readFile(`${name}.map`, 'utf8')) as SourceMapPayload);
      const starts = lineStarts(content);
      const at = ({ line, column }: Position) => (starts[line] ?? 0) + column;
      return found.mutants
        .filter((mutant) => mutant.fileName === name && mutant.status !== 'Ignored')
        .map(({ id, mutatorName, replacement, location: { start, end } }) => ({
          id,
          file: `${file}.ts`,
          line: lineIn(map, start),
          mutator: mutatorName,
          original: content.slice(at(start), at(end)),
          replacement,
        }))
        .filter((mutant) => !isNegation(mutant));
    }),
  );
  return mutants.flat();
}

const NEGATIONS: Readonly<Record<string, string>> = {
  '===': '!==',
  '!==': '===',
  '<': '>=',
  '>=': '<',
  '>': '<=',
  '<=': '>',
};

/** A condition turned round is never harder to find than one that always holds, or never does: those are there too. */
function isNegation({ mutator, original, replacement }: Mutant): boolean {
  if (mutator !== 'EqualityOperator') return false;
  const operators = (text: string) => text.match(/[=!]==|[<>]=?(?= )/g) ?? [];
  const before = operators(original);
  const i = operators(replacement).findIndex((operator, at) => operator !== before[at]);
  return i >= 0 && NEGATIONS[before[i] ?? ''] === operators(replacement)[i];
}

const lineStarts = (text: string): readonly number[] => [
  0,
  ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1),
];

function lineIn(map: SourceMap, { line, column }: Position): number {
  const entry = map.findEntry(line, column);
  return 'originalLine' in entry ? entry.originalLine + 1 : 0;
}
