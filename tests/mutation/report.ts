/** docs/mutants.md: the results of each file, and every mutant that lives with the reason why it may. The reasons are written by hand into its tables. */
import type { End } from './child.ts';
import type { Mutant } from './instrument.ts';

export interface Judged {
  readonly mutant: Mutant;
  /** `uncovered`: no test runs its code. */
  readonly status: Exclude<End['status'], 'dirty'> | 'uncovered';
}

export interface Report {
  readonly text: string;
  /** How many of the file's living mutants have no reason. */
  readonly unexplained: number;
}

const MAX_CODE = 120;
const statuses = ['killed', 'timeout', 'survived', 'uncovered'] as const;

/** `judged`: all mutants of `file`. `old`: the document as it is; what it says of other files stays. */
export function reportOf(judged: readonly Judged[], file: string, old: string, date: string): Report {
  const before = rowsOf(old);
  const kept = before.filter(([name = '']) => unquoted(name) !== file);
  const reasons = new Map(
    before.filter((row) => row.length === 3).map(([name, code, reason]) => [`${name}|${code}`, reason]),
  );
  const results = [...kept.filter((row) => row.length === 8), resultRow(file, judged, date)].sort(byFile);
  const own = livingRows(judged, reasons);
  const living = [...kept.filter((row) => row.length === 3), ...own].sort(byFile);
  return {
    text: textOf(results, living),
    unexplained: own.filter(([, , reason]) => reason === '').length,
  };
}

type Row = readonly string[];

const unquoted = (cell: string): string => cell.replaceAll('`', '');
const byFile = (a: Row, b: Row): number => ((a[0] ?? '') < (b[0] ?? '') ? -1 : a[0] === b[0] ? 0 : 1);
const line = (row: Row): string => `| ${row.join(' | ')} |`;

/** Of files: those of sums stand in bold. */
const rowsOf = (text: string): readonly Row[] =>
  text
    .split('\n')
    .filter((row) => row.startsWith('| `'))
    .map((row) =>
      row
        .slice(2, -1)
        .replace(/\s+$/, '')
        .split(/(?<!\\) \| | \|$/),
    )
    .map((row) => (row.length === 2 ? [...row, ''] : row));

function resultRow(file: string, judged: readonly Judged[], date: string): Row {
  const counts = statuses.map((status) => judged.filter((one) => one.status === status).length);
  return [`\`${file}\``, String(judged.length), ...counts.map(String), scoreOf(counts), date];
}

function scoreOf([killed = 0, timeout = 0, survived = 0, uncovered = 0]: readonly number[]): string {
  const all = killed + timeout + survived + uncovered;
  return all === 0 ? '' : `${(((killed + timeout) * 100) / all).toFixed(1)} %`;
}

function livingRows(
  judged: readonly Judged[],
  reasons: ReadonlyMap<string, string | undefined>,
): readonly Row[] {
  const seen = new Map<string, number>();
  return judged
    .map((one) => {
      const { file, original, replacement } = one.mutant;
      const text = `${code(original)} → ${code(replacement)}`;
      const n = (seen.get(file + text) ?? 0) + 1;
      seen.set(file + text, n);
      return { ...one, cells: [`\`${file}\``, n === 1 ? text : `${text} (${n})`] };
    })
    .filter(({ status }) => status === 'survived' || status === 'uncovered')
    .map(({ cells }) => [...cells, reasons.get(cells.join('|')) ?? '']);
}

function code(text: string): string {
  const squeezed = text.replace(/\s+/g, ' ').replaceAll('|', '\\|');
  const short = squeezed.length > MAX_CODE ? `${squeezed.slice(0, MAX_CODE)} …` : squeezed;
  return short.includes('`') ? `\`\` ${short} \`\`` : `\`${short}\``;
}

function sums(results: readonly Row[]): readonly Row[] {
  const roomOf = ([file = '']: Row) => unquoted(file).replace(/\/[^/]*$/, '');
  const rooms = [...new Set(results.map(roomOf))];
  const sum = (rows: readonly Row[]) =>
    statuses.map((_, i) => rows.reduce((total, row) => total + Number(row[i + 2]), 0));
  const row = (name: string, rows: readonly Row[]) => {
    const counts = sum(rows);
    const all = counts.reduce((a, b) => a + b, 0);
    return [`**${name}**`, String(all), ...counts.map(String), scoreOf(counts)];
  };
  return [
    ...rooms.map((room) =>
      row(
        room,
        results.filter((of) => roomOf(of) === room),
      ),
    ),
    row('all', results),
  ];
}

const textOf = (results: readonly Row[], living: readonly Row[]): string => `# Mutants

\`npm run mutate\` changes the product in one place at a time (Stryker's mutators: a condition turned round, a block emptied, a text or
number replaced) and runs the tests that run that place. A mutant that no test turns red is either a hole in the tests, or code that
makes no difference, or harmless: below stands each one that lives, and why it may. A living mutant without a reason turns the command
red. Not mutated: what errors and logs say. *timeout*: the tests did not end. *not covered*: no test runs the code.

The tables are written by the command, file by file; reasons are written into them by hand and stay as long as the code does. A file that
is not listed has not been run yet; a mutant without a reason has been listed, and is still to be looked at.

## Results

| room | mutants | killed | timeout | survived | not covered | score |
| --- | --- | --- | --- | --- | --- | --- |
${sums(results).map(line).join('\n')}

| file | mutants | killed | timeout | survived | not covered | score | run on |
| --- | --- | --- | --- | --- | --- | --- | --- |
${results.map(line).join('\n')}

## Those that live

| file | mutant | why it may live |
| --- | --- | --- |
${living.map(line).join('\n')}
`;
