import type { PinInfo } from '../../coordinator/admin-api.ts';
import { toJson } from '../../support/json.ts';
import type { Json } from '../admin-client.ts';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { type Column, localTime, table } from '../format.ts';

type Row = Json<PinInfo>;

export const pinColumns: readonly Column<Row>[] = [
  { head: 'PIN', text: ({ pinId }) => pinId },
  { head: 'OWNER', text: ({ owner }) => (owner === '' ? '-' : owner) },
  { head: 'SINCE', text: ({ createdAtMs }) => localTime(createdAtMs) },
  {
    head: 'UNTIL',
    text: ({ expiresAtMs }) => (expiresAtMs === undefined ? 'it is released' : localTime(expiresAtMs)),
  },
];

const columns: readonly Column<Row>[] = [
  {
    head: 'SNAPSHOT',
    text: ({ databaseName, collectionName, snapshotName }) =>
      `${databaseName}/${collectionName}/${snapshotName}`,
  },
  ...pinColumns,
];

export const snapshotPins: Command = {
  words: ['snapshot', 'pins'],
  synopsis: '',
  summary: 'what holds snapshots: those cannot be dropped',
  arity: [0, 0],
  flags: {},
  help: 'Pins of clients, of restores and of verifications that run; of all databases unless --database names one.',
  async run({ database, client, terminal, isJson }) {
    const all = await client.all<PinInfo>('/pins', 'pins', {});
    const pins = all.filter((pin) => database === undefined || pin.databaseName === database);
    if (isJson) await terminal.print(toJson({ pins }));
    else await terminal.print(pins.length === 0 ? 'No pins.' : table(columns, pins));
    return exitCodes.done;
  },
};
