import type { RestorePreview } from '../../coordinator/admin-api.ts';
import type { RestoreJobInfo } from '../../coordinator/api.ts';
import { toJson } from '../../support/json.ts';
import { systemClock } from '../../support/system-clock.ts';
import { type AdminClient, type Json, pathOf, type Query, ServerError } from '../admin-client.ts';
import { type Call, type Command, snapshotName, snapshotText, textFlag, textFlags } from '../command.ts';
import { exitCodes, UsageError } from '../exit-codes.ts';
import { block, count, counted, duration, exactSize, plain, size } from '../format.ts';
import type { Terminal } from '../terminal.ts';

type Job = Json<RestoreJobInfo>;
type Preview = Json<RestorePreview>;

/** Between two looks at a job that is waited for. */
const LOOK_MS = 250;

export const restoreStart: Command = {
  words: ['restore', 'start'],
  synopsis: 'COLLECTION SNAPSHOT TARGET',
  summary: 'restores a snapshot into a new collection',
  arity: [2, 3],
  flags: {
    'target-database': {
      type: 'string',
      value: 'NAME',
      help: "database of the target; the snapshot's unless it is given",
    },
    partition: {
      type: 'string',
      value: 'NAME',
      multiple: true,
      help: 'restore this partition only; may be given more than once',
    },
    physical: { type: 'boolean', help: 'write every byte again; no file is shared with the snapshot' },
    'dry-run': {
      type: 'boolean',
      help: 'change nothing: check everything, look at every object, and tell what would be copied and how',
    },
    wait: { type: 'boolean', help: 'wait for the end; progress is shown on a terminal' },
  },
  help: `COLLECTION/SNAPSHOT and DATABASE/COLLECTION/SNAPSHOT are understood, too. Prints the id of the job, which goes on in the server; with
--wait what became of it, and ends with 1 when it failed. Ctrl-C ends the waiting, not the restore. --dry-run ends with 3 when objects are wrong.`,
  async run(call) {
    const { flags, client, terminal, isJson } = call;
    const [query, isDry, waits] = [queryOf(call), flags['dry-run'] === true, flags['wait'] === true];
    if (isDry && waits) throw new UsageError('--dry-run starts nothing that could be waited for: no --wait');
    if (isDry) return await preview(call, query);
    const job = await client.ask<RestoreJobInfo>('POST', '/restore', query);
    if (waits) return await ended(call, await waitFor(client, terminal, job));
    await terminal.print(isJson ? toJson(job) : job.jobId);
    return exitCodes.done;
  },
};

function queryOf({ args, flags, database }: Call): Query {
  const from = snapshotName(args.slice(0, -1), database);
  const target = args.at(-1) ?? '';
  return {
    from: snapshotText(from),
    to: `${textFlag(flags, 'target-database') ?? from.database}/${target}`,
    partitions: textFlags(flags, 'partition')?.join(','),
    mode: flags['physical'] === true ? 'physical' : undefined,
    dryRun: flags['dry-run'] === true ? 'true' : undefined,
  };
}

async function preview({ client, terminal, isJson }: Call, query: Query): Promise<number> {
  terminal.progress('looking at every object ...');
  const found = await client.ask<RestorePreview>('POST', '/restore', query);
  await terminal.print(isJson ? toJson(found) : previewText(found, query));
  return found.problemCount === 0 ? exitCodes.done : exitCodes.damaged;
}

const methods: Readonly<Record<Preview['method'], string>> = {
  'hard-link': 'hard links: no bytes are copied',
  clone: 'clones that share their blocks: no bytes are copied',
  'server-side': 'copies inside the store',
  stream: 'copies of the bytes',
};

function previewText(found: Preview, { from, to }: Query): string {
  const { segmentCount, taskCount, totalBytes, totalFiles, totalRows, problems, problemCount } = found;
  const facts = block([
    ['rows', `${count(totalRows)} in ${counted(segmentCount, 'segment')}, ${counted(taskCount, 'task')}`],
    ['size', `${exactSize(totalBytes)} in ${counted(totalFiles, 'file')}`],
    ['mode', `${found.mode}: ${methods[found.method]}`],
    ['free', found.freeBytes === undefined ? undefined : exactSize(found.freeBytes)],
    ['takes about', found.estimatedMs === undefined ? undefined : duration(found.estimatedMs)],
  ]);
  const listed = problems.map(({ key, detail }) => `\n  ${plain(key)} ${plain(detail)}`).join('');
  const more = problemCount > problems.length ? `\n  and ${count(problemCount - problems.length)} more` : '';
  const verdict =
    problemCount === 0
      ? 'Every object is there. Nothing was changed.'
      : `It would FAIL: ${counted(problemCount, 'object')} wrong${listed}${more}`;
  return `${plain(`${from} → ${to}`)}\n${facts}\n\n${verdict}`;
}

const isOver = ({ state }: Job): boolean => state === 'completed' || state === 'failed';

/** Until it has ended. `text`: what a terminal shows of it meanwhile. */
export async function waitFor(
  client: AdminClient,
  terminal: Terminal,
  started: Job,
  text: (job: Job) => string = progressText,
): Promise<Job> {
  let job = started;
  while (!isOver(job)) {
    terminal.progress(text(job));
    await systemClock.sleep(LOOK_MS, client.signal);
    job = await client.ask<RestoreJobInfo>('GET', pathOf('restore-jobs', job.jobId));
  }
  return job;
}

const targetOf = ({ databaseName, collectionName }: Job): string =>
  plain(`${databaseName}/${collectionName}`);

function progressText(job: Job): string {
  const { progress, copiedFiles, totalFiles, copiedBytes, totalBytes } = job;
  return `restoring ${targetOf(job)}  ${progress} %  ${count(copiedFiles)} of ${counted(totalFiles, 'file')}, ${size(copiedBytes)} of ${size(totalBytes)}`;
}

async function ended({ terminal, isJson }: Call, job: Job): Promise<number> {
  const isDone = job.state === 'completed';
  if (isJson) await terminal.print(toJson(job));
  else if (!isDone)
    throw new ServerError(`restore ${job.jobId} into ${targetOf(job)} failed: ${plain(job.reason)}`);
  else
    await terminal.print(
      `Restored ${plain(job.snapshotName)} into ${targetOf(job)}: ${counted(job.totalRows, 'row')}, ${counted(job.totalFiles, 'file')}, ${size(job.totalBytes)} in ${duration(job.durationMs)}.`,
    );
  return isDone ? exitCodes.done : exitCodes.failed;
}
