import type { SnapshotReport } from '../../coordinator/admin-api.ts';
import { toJson } from '../../support/json.ts';
import type { Json } from '../admin-client.ts';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { type Column, count, localTime, size, table } from '../format.ts';

type Row = Json<SnapshotReport>;

const columns: readonly Column<Row>[] = [
  { head: 'DATABASE', text: ({ databaseName }) => databaseName },
  { head: 'COLLECTION', text: ({ collectionName }) => collectionName },
  { head: 'SNAPSHOT', text: ({ name }) => name },
  { head: 'CREATED', text: ({ createdAtMs }) => localTime(createdAtMs) },
  { head: 'ROWS', isRight: true, text: ({ rowCount }) => count(rowCount) },
  { head: 'SEGMENTS', isRight: true, text: ({ segmentCount }) => count(segmentCount) },
  { head: 'SIZE', isRight: true, text: ({ sizeBytes }) => size(sizeBytes) },
  { head: 'PINS', isRight: true, text: ({ pins }) => count(pins.length) },
  { head: 'STATE', text: ({ damage }) => (damage === undefined ? 'ok' : `damaged: ${damage}`) },
];

export const snapshotList: Command = {
  words: ['snapshot', 'list'],
  synopsis: '[COLLECTION]',
  summary: 'snapshots, oldest first, with what is known of their state',
  arity: [0, 1],
  flags: {},
  help: 'Of one collection, or of all; of all databases unless --database names one.',
  async run({ args, database, client, terminal, isJson }) {
    const snapshots = await client.all<SnapshotReport>('/snapshots', 'snapshots', {
      database,
      collection: args[0],
    });
    if (isJson) await terminal.print(toJson({ snapshots }));
    else await terminal.print(snapshots.length === 0 ? 'No snapshots.' : table(columns, snapshots));
    return exitCodes.done;
  },
};
