import type { SnapshotContent, SnapshotReport } from '../../coordinator/admin-api.ts';
import { toJson } from '../../support/json.ts';
import { type Json, pathOf } from '../admin-client.ts';
import { type Command, reportName, snapshotName } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import {
  block,
  type Column,
  count,
  counted,
  exactSize,
  hybridTimeText,
  localTime,
  plain,
  size,
  table,
} from '../format.ts';
import { pinColumns } from './snapshot-pins.ts';

type Content = Json<SnapshotContent>;
type Report = Json<SnapshotReport> & { readonly content?: Content };

export const snapshotDescribe: Command = {
  words: ['snapshot', 'describe'],
  synopsis: 'COLLECTION NAME',
  summary: 'what a snapshot holds and what it costs',
  arity: [1, 2],
  flags: {},
  help: `COLLECTION/NAME and DATABASE/COLLECTION/NAME are understood, too. Reads the snapshot's metadata and manifests, not its data: see
snapshot verify. Ends with 3 when the snapshot is known to be damaged.`,
  async run({ args, database, client, terminal, isJson }) {
    const { database: of, collection, name } = snapshotName(args, database);
    const report: Report = await client.ask<SnapshotReport & { readonly content?: SnapshotContent }>(
      'GET',
      pathOf('snapshots', of, collection, name),
    );
    await terminal.print(isJson ? toJson(report) : describe(report));
    return report.damage === undefined ? exitCodes.done : exitCodes.damaged;
  },
};

function describe(report: Report): string {
  const { content, pins } = report;
  return [
    `${plain(reportName(report))}\n${block(summary(report))}`,
    ...(content === undefined ? [] : contentTables(content)),
    ...(pins.length === 0 ? [] : [`Pins\n${table(pinColumns, pins, '  ')}`]),
  ].join('\n\n');
}

function summary(report: Report): readonly (readonly [string, string | undefined])[] {
  const { content, damage, description, protectedUntilMs } = report;
  const files = content === undefined ? '' : ` in ${counted(content.fileCount, 'file')}`;
  return [
    ['DAMAGED', damage],
    ['description', description === '' ? undefined : description],
    ['snapshot id', report.snapshotId],
    ['collection id', report.collectionId],
    ['created', localTime(report.createdAtMs)],
    ['point in time', hybridTimeText(report.createTs)],
    ['rows', `${count(report.rowCount)} in ${counted(report.segmentCount, 'segment')}`],
    ['deletes', content && count(content.deleteCount)],
    ['size', `${exactSize(report.sizeBytes)}${files}`],
    ['exclusive', content && `${exactSize(content.exclusiveBytes)}: dropping it frees them`],
    ['shared', content && `${exactSize(content.sharedBytes)}: live data or other snapshots need them, too`],
    ['shards', content && count(content.shardsNum)],
    ['consistency', content?.consistencyLevel],
    ['properties', content && propertyText(content.properties)],
    ['protected until', protectedUntilMs > 0 ? `${localTime(protectedUntilMs)} from compaction` : undefined],
    ['metadata', report.location],
  ];
}

const propertyText = (properties: Readonly<Record<string, string>>): string | undefined =>
  Object.entries(properties)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ') || undefined;

const fieldColumns: readonly Column<Content['schema']['fields'][number]>[] = [
  { head: 'FIELD', text: ({ name }) => name },
  { head: 'TYPE', text: (field) => typeText(field) },
  {
    head: '',
    text: ({ isPrimaryKey, autoId, nullable, isDynamic }) =>
      [isPrimaryKey && 'primary key', autoId && 'auto id', nullable && 'nullable', isDynamic && 'dynamic']
        .filter((word) => word !== false)
        .join(', '),
  },
];

function typeText({
  dataType,
  elementType,
  dim,
  maxLength,
  maxCapacity,
}: Content['schema']['fields'][number]): string {
  const length = maxLength === undefined ? '' : `(${maxLength})`;
  if (elementType !== undefined) return `${dataType}(${maxCapacity}) of ${elementType}${length}`;
  return `${dataType}${dim === undefined ? '' : `(${dim})`}${length}`;
}

const partitionColumns: readonly Column<Content['partitions'][number]>[] = [
  { head: 'PARTITION', text: ({ name }) => name },
  { head: 'ROWS', isRight: true, text: ({ rowCount }) => count(rowCount) },
  { head: 'SEGMENTS', isRight: true, text: ({ segmentCount }) => count(segmentCount) },
  { head: 'SIZE', isRight: true, text: ({ sizeBytes }) => size(sizeBytes) },
];

const indexColumns: readonly Column<Content['indexes'][number]>[] = [
  { head: 'INDEX', text: ({ name }) => name },
  { head: 'FIELD', text: ({ fieldName }) => fieldName },
  { head: 'BUILT IN', text: ({ segmentCount }) => counted(segmentCount, 'segment') },
  { head: 'SIZE', isRight: true, text: ({ sizeBytes }) => size(sizeBytes) },
  { head: 'PARAMETERS', text: ({ params }) => propertyText(params) ?? '' },
];

const contentTables = ({ schema, partitions, indexes }: Content): readonly string[] => [
  `Schema\n${table(fieldColumns, schema.fields, '  ')}`,
  `Partitions\n${table(partitionColumns, partitions, '  ')}`,
  ...(indexes.length === 0 ? [] : [`Indexes\n${table(indexColumns, indexes, '  ')}`]),
];
