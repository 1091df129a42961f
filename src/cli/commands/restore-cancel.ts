import type { RestoreJobInfo } from '../../coordinator/api.ts';
import { toJson } from '../../support/json.ts';
import { pathOf, ServerError } from '../admin-client.ts';
import { type Command, textFlag } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { plain } from '../format.ts';

interface Cancelled {
  readonly cancelled: boolean;
  readonly job: RestoreJobInfo;
}

export const restoreCancel: Command = {
  words: ['restore', 'cancel'],
  synopsis: 'JOB',
  summary: 'ends a restore; its target collection and files go',
  arity: [1, 1],
  flags: { reason: { type: 'string', value: 'TEXT', help: 'shown with the job' } },
  help: 'JOB is an id that `restore list` shows. Ends with 1 when the restore had ended already.',
  async run({ args, flags, client, terminal, isJson }) {
    const path = `${pathOf('restore-jobs', args[0] ?? '')}/cancel`;
    const answer = await client.ask<Cancelled>('POST', path, { reason: textFlag(flags, 'reason') });
    const { cancelled, job } = answer;
    const target = plain(`${job.databaseName}/${job.collectionName}`);
    if (isJson) await terminal.print(toJson(answer));
    else if (!cancelled)
      throw new ServerError(`restore ${job.jobId} into ${target} has already ${job.state}`);
    else await terminal.print(`Cancelled restore ${job.jobId}: ${target} is removed.`);
    return cancelled ? exitCodes.done : exitCodes.failed;
  },
};
