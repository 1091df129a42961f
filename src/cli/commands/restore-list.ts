import type { RestoreJobInfo } from '../../coordinator/api.ts';
import { toJson } from '../../support/json.ts';
import type { Json } from '../admin-client.ts';
import { type Command, textFlag } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { type Column, duration, localTime, size, table } from '../format.ts';

type Row = Json<RestoreJobInfo>;

const columns: readonly Column<Row>[] = [
  { head: 'JOB', text: ({ jobId }) => jobId },
  { head: 'STATE', text: ({ state }) => state },
  { head: 'DONE', isRight: true, text: ({ progress }) => `${progress} %` },
  { head: 'SNAPSHOT', text: ({ snapshotName }) => snapshotName },
  { head: 'INTO', text: ({ databaseName, collectionName }) => `${databaseName}/${collectionName}` },
  { head: 'STARTED', text: ({ startedAtMs }) => localTime(startedAtMs) },
  { head: 'TOOK', isRight: true, text: ({ durationMs }) => duration(durationMs) },
  { head: 'SIZE', isRight: true, text: ({ totalBytes }) => size(totalBytes) },
  {
    head: 'RATE',
    isRight: true,
    text: ({ state, bytesPerSecond }) =>
      state === 'executing' && bytesPerSecond !== undefined ? `${size(bytesPerSecond)}/s` : '',
  },
  {
    head: 'LEFT',
    isRight: true,
    text: ({ remainingMs }) => (remainingMs === undefined ? '' : duration(remainingMs)),
  },
  { head: 'FOR', text: ({ purpose }) => (purpose === undefined ? '' : `${purpose.kind}: ${purpose.stage}`) },
  { head: 'REASON', text: ({ reason }) => reason },
];

export const restoreList: Command = {
  words: ['restore', 'list'],
  synopsis: '[COLLECTION]',
  summary: 'restores that run, and those that ended some hours ago at most',
  arity: [0, 1],
  flags: {
    state: { type: 'string', value: 'STATE', help: 'only those pending, executing, completed or failed' },
  },
  help: 'COLLECTION and --database name the target. Ended ones are listed for dataCoord.copySegmentTaskRetention.',
  async run({ args, flags, database, client, terminal, isJson }) {
    const jobs = await client.all<RestoreJobInfo>('/restore-jobs', 'jobs', {
      database,
      collection: args[0],
      state: textFlag(flags, 'state'),
    });
    if (isJson) await terminal.print(toJson({ jobs }));
    else await terminal.print(jobs.length === 0 ? 'No restores.' : table(columns, jobs));
    return exitCodes.done;
  },
};
