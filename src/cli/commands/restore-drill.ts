import type { RestoreJobInfo } from '../../coordinator/api.ts';
import { toJson } from '../../support/json.ts';
import { type Json, ServerError } from '../admin-client.ts';
import { type Command, snapshotName, snapshotText } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { counted, duration, plain, size } from '../format.ts';
import { waitFor } from './restore-start.ts';

type Job = Json<RestoreJobInfo>;

export const restoreDrill: Command = {
  words: ['restore', 'drill'],
  synopsis: 'COLLECTION SNAPSHOT',
  summary: 'tries whether a snapshot can be restored: restores it aside, compares, drops the copy',
  arity: [1, 2],
  flags: { 'no-wait': { type: 'boolean', help: 'print the id of the job and do not wait for the outcome' } },
  help: `COLLECTION/SNAPSHOT and DATABASE/COLLECTION/SNAPSHOT are understood, too. Every byte is written again and every row, vector and delete compared; that
takes as much room as the snapshot for as long as it runs. Nobody sees the copy. Ends with 3 when something differs, and names it; with 1 when
it could not be tried. Ctrl-C ends the waiting, not the drill: \`restore cancel\` does.`,
  async run({ args, flags, database, client, terminal, isJson }) {
    const snapshot = snapshotText(snapshotName(args, database));
    const job = await client.ask<RestoreJobInfo>('POST', '/restore-drill', { snapshot });
    if (flags['no-wait'] === true) {
      await terminal.print(isJson ? toJson(job) : job.jobId);
      return exitCodes.done;
    }
    const ended = await waitFor(client, terminal, job, (now) => progressText(snapshot, now));
    const outcome = ended.purpose?.kind === 'drill' ? ended.purpose.outcome : undefined;
    if (isJson) await terminal.print(toJson(ended));
    else if (outcome === undefined)
      throw new ServerError(`drill ${job.jobId} failed: ${plain(ended.reason)}`);
    else await terminal.print(outcomeText(plain(snapshot), ended, outcome));
    if (outcome === undefined) return exitCodes.failed;
    return outcome.isSame ? exitCodes.done : exitCodes.damaged;
  },
};

function progressText(snapshot: string, { purpose, progress, copiedBytes, totalBytes }: Job): string {
  const copied = `restoring aside  ${progress} %  ${size(copiedBytes)} of ${size(totalBytes)}`;
  return `drill of ${plain(snapshot)}: ${purpose?.stage === 'comparing' ? 'comparing' : copied}`;
}

type Outcome = NonNullable<Extract<Job['purpose'], { readonly kind: 'drill' }>['outcome']>;

function outcomeText(name: string, { totalBytes, durationMs }: Job, outcome: Outcome): string {
  const { isSame, segments, rows, deletes, differences } = outcome;
  const seen = `${counted(rows, 'row')} and ${counted(deletes, 'delete')} in ${counted(segments, 'segment')}, ${size(totalBytes)} in ${duration(durationMs)}`;
  if (isSame) return `${name} can be restored: the copy is the same. ${seen}; the copy is dropped.`;
  const listed = differences.map((what) => `  ${plain(what)}`).join('\n');
  return `${name} was NOT restored as it is:\n${listed}\n${seen}; the copy is dropped.`;
}
