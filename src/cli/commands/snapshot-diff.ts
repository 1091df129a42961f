import type { DiffSegment, SnapshotDiff } from '../../coordinator/admin-api.ts';
import { toJson } from '../../support/json.ts';
import type { Json } from '../admin-client.ts';
import {
  type Call,
  type Command,
  reportName,
  type SnapshotName,
  snapshotName,
  snapshotText,
} from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { block, type Column, count, counted, exactSize, plain, size, table } from '../format.ts';

type Diff = Json<SnapshotDiff>;

export const snapshotDiff: Command = {
  words: ['snapshot', 'diff'],
  synopsis: 'COLLECTION FROM TO',
  summary: 'what differs between two snapshots: segments, rows, bytes, schema',
  arity: [2, 3],
  flags: {},
  help: `Two snapshots of one collection; those of two are named as COLLECTION/NAME COLLECTION/NAME, with DATABASE/ before when need be.
Compares segments, not single rows: after a compaction the same rows stand in other segments. Ends with 0 when nothing
differs and with 4 when something does, as diff(1) does with 1.`,
  async run({ args, database, client, terminal, isJson }) {
    const [from, to] = namesOf(args, database);
    const diff = await client.ask<SnapshotDiff>('GET', '/snapshot-diff', {
      from: snapshotText(from),
      to: snapshotText(to),
    });
    await terminal.print(isJson ? toJson(diff) : describe(diff));
    return isSame(diff) ? exitCodes.done : exitCodes.different;
  },
};

function namesOf(args: readonly string[], database: Call['database']): readonly [SnapshotName, SnapshotName] {
  const [first = '', second = '', third] = args;
  return third === undefined
    ? [snapshotName([first], database), snapshotName([second], database)]
    : [snapshotName([first, second], database), snapshotName([first, third], database)];
}

const isSame = ({ segments, definition }: Diff): boolean =>
  segments.added.length === 0 && segments.removed.length === 0 && definition.length === 0;

function describe(diff: Diff): string {
  const { from, to, segments, definition } = diff;
  const names = `${reportName(from)} → ${reportName(to)}`;
  if (isSame(diff))
    return `${plain(names)}: no difference in ${counted(segments.common, 'segment')} and the definition`;
  const changed = [
    ...segments.removed.map((segment) => ({ ...segment, sign: '-' })),
    ...segments.added.map((segment) => ({ ...segment, sign: '+' })),
  ];
  return [
    `${plain(names)}\n${block([
      [
        'segments',
        `+${count(segments.added.length)} -${count(segments.removed.length)}, ${count(segments.common)} in common`,
      ],
      ['rows', `+${count(diff.addedRows)} -${count(diff.removedRows)}`],
      ['added', exactSize(diff.addedBytes)],
      ['removed', exactSize(diff.removedBytes)],
    ])}`,
    ...(definition.length === 0 ? [] : [`Definition\n${definition.map(changeText).join('\n')}`]),
    ...(changed.length === 0 ? [] : [`Segments\n${table(columns, changed, '  ')}`]),
  ].join('\n\n');
}

function changeText({ what, was, is }: Diff['definition'][number]): string {
  if (was === undefined) return plain(`  + ${what}: ${is}`);
  if (is === undefined) return plain(`  - ${what}: ${was}`);
  return plain(`  ~ ${what}: ${was} → ${is}`);
}

const columns: readonly Column<Json<DiffSegment> & { readonly sign: string }>[] = [
  { head: '', text: ({ sign }) => sign },
  { head: 'SEGMENT', text: ({ segmentId }) => segmentId },
  { head: 'PARTITION', text: ({ partitionName }) => partitionName },
  { head: 'LEVEL', text: ({ level }) => (level === 'L0' ? 'L0 (deletes)' : level) },
  { head: 'ROWS', isRight: true, text: ({ rowCount }) => count(rowCount) },
  { head: 'SIZE', isRight: true, text: ({ sizeBytes }) => size(sizeBytes) },
];
