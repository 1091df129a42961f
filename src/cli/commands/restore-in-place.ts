import type { RestoreJobInfo } from '../../coordinator/api.ts';
import { toJson } from '../../support/json.ts';
import { type Json, pathOf, ServerError } from '../admin-client.ts';
import { type Call, type Command, snapshotName, snapshotText } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { counted, duration, plain } from '../format.ts';
import { waitFor } from './restore-start.ts';

type Job = Json<RestoreJobInfo>;

export const restoreInPlace: Command = {
  words: ['restore', 'in-place'],
  synopsis: 'COLLECTION SNAPSHOT',
  summary: 'gives a collection the rows of a snapshot, and keeps the old ones until you decide',
  arity: [1, 2],
  flags: {
    physical: { type: 'boolean', help: 'write every byte again; no file is shared with the snapshot' },
    wait: { type: 'boolean', help: 'wait for the swap; progress is shown on a terminal' },
  },
  help: `COLLECTION/SNAPSHOT and DATABASE/COLLECTION/SNAPSHOT are understood, too. The snapshot is restored aside; then, in one moment, the copy takes
the collection's name, and the old collection is called COLLECTION_before_JOB. Readers of the name never find it missing: when the
old one is loaded, so is the copy before it takes the name. What was written since the snapshot is in the old collection only; so are
its snapshots. Then \`restore confirm JOB\` drops the old one, and \`restore revert JOB\` goes back to it. Prints the id of the job; with
--wait what became of it, and ends with 1 when it failed.`,
  async run(call) {
    const { args, flags, database, client, terminal, isJson } = call;
    const snapshot = snapshotText(snapshotName(args, database));
    const mode = flags['physical'] === true ? 'physical' : undefined;
    const job = await client.ask<RestoreJobInfo>('POST', '/restore-in-place', { snapshot, mode });
    if (flags['wait'] === true) return await ended(call, await waitFor(client, terminal, job, progressText));
    await terminal.print(isJson ? toJson(job) : job.jobId);
    return exitCodes.done;
  },
};

function progressText({ purpose, databaseName, collectionName, progress }: Job): string {
  const what = purpose?.stage === 'swapping' ? 'about to swap names' : `${progress} %`;
  const trouble =
    purpose !== undefined && 'trouble' in purpose && purpose.trouble !== undefined
      ? `: ${plain(purpose.trouble)}`
      : '';
  return `restoring ${plain(`${databaseName}/${collectionName}`)} in place  ${what}${trouble}`;
}

async function ended({ terminal, isJson }: Call, job: Job): Promise<number> {
  const { state, jobId, databaseName, purpose, snapshotName: name, totalRows, durationMs, reason } = job;
  const isDone = state === 'completed';
  if (isJson) await terminal.print(toJson(job));
  else if (!isDone) throw new ServerError(`restore ${jobId} in place failed: ${plain(reason)}`);
  else if (purpose?.kind === 'in-place') {
    const collection = plain(`${databaseName}/${purpose.name}`);
    const next =
      purpose.stage === 'swapped'
        ? `The old collection is kept as ${plain(purpose.keptName)}${ofSnapshots(purpose.keptSnapshots)}.
Drop it with \`tidemark restore confirm ${jobId}\`, go back to it with \`tidemark restore revert ${jobId}\`.`
        : 'The old collection was dropped meanwhile.';
    await terminal.print(
      `${collection} has the ${counted(totalRows, 'row')} of ${plain(name)} now, in ${duration(durationMs)}. ${next}`,
    );
  }
  return isDone ? exitCodes.done : exitCodes.failed;
}

const ofSnapshots = (snapshots: number): string =>
  snapshots === 0 ? '' : `, with ${counted(snapshots, 'snapshot')}`;

const settling = (
  word: 'confirm' | 'revert',
  summary: string,
  help: string,
  done: (job: Job) => string,
): Command => ({
  words: ['restore', word],
  synopsis: 'JOB',
  summary,
  arity: [1, 1],
  flags: {},
  help: `JOB is an id that \`restore in-place\` printed and \`restore list\` shows. ${help} May be repeated.`,
  async run({ args, client, terminal, isJson }) {
    const path = pathOf('restore-jobs', args[0] ?? '', word);
    const job = await client.ask<RestoreJobInfo>('POST', path);
    await terminal.print(isJson ? toJson(job) : done(job));
    return exitCodes.done;
  },
});

const namesOf = ({ purpose }: Job): { readonly name: string; readonly kept: string } =>
  purpose?.kind === 'in-place'
    ? { name: plain(purpose.name), kept: plain(purpose.keptName) }
    : { name: '', kept: '' };

export const restoreConfirm: Command = settling(
  'confirm',
  'drops the old collection that a restore in place has kept',
  'Its snapshots go with it, as with any drop of a collection: pinned ones stay.',
  (job) => `Confirmed restore ${job.jobId}: ${namesOf(job).kept} is dropped.`,
);

export const restoreRevert: Command = settling(
  'revert',
  'gives the old collection its name back and drops the restored one',
  'What was written to the restored collection goes with it, and so do snapshots of it.',
  (job) => `Reverted restore ${job.jobId}: ${namesOf(job).name} is the old collection again.`,
);
