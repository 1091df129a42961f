import type { RestoreJobInfo } from '../../coordinator/api.ts';
import { toJson } from '../../support/json.ts';
import { type Json, pathOf } from '../admin-client.ts';
import type { Command } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { block, count, counted, duration, exactSize, localTime, plain, size } from '../format.ts';

type Job = Json<RestoreJobInfo>;

export const restoreDescribe: Command = {
  words: ['restore', 'describe'],
  synopsis: 'JOB',
  summary: 'how far a restore is, how fast, and which nodes work on it',
  arity: [1, 1],
  flags: {},
  help: 'JOB is an id that `restore list` shows. Ends with 1 when the restore has failed.',
  async run({ args, client, terminal, isJson }) {
    const job: Job = await client.ask<RestoreJobInfo>('GET', pathOf('restore-jobs', args[0] ?? ''));
    const target = plain(`${job.databaseName}/${job.collectionName}`);
    const title = `restore ${job.jobId} into ${target}`;
    await terminal.print(isJson ? toJson(job) : `${title}\n${block(summary(job))}`);
    return job.state === 'failed' ? exitCodes.failed : exitCodes.done;
  },
};

const part = (done: number, all: number, text: (value: number) => string): string =>
  done === all ? text(all) : `${text(done)} of ${text(all)}`;

function summary(job: Job): readonly (readonly [string, string | undefined])[] {
  const { tasks, stages, nodes, remainingMs, bytesPerSecond } = job;
  const methods = Object.entries(job.bytesByMethod)
    .map(([method, bytes]) => `${method} ${size(bytes)}`)
    .join(', ');
  return [
    ['state', `${job.state}, ${job.progress} %`],
    ['reason', job.reason === '' ? undefined : job.reason],
    ['snapshot', job.snapshotName],
    ['started', localTime(job.startedAtMs)],
    ['took', `${duration(job.durationMs)}: ${stageText(stages)}`],
    ['rate', bytesPerSecond === undefined ? undefined : `${size(bytesPerSecond)}/s`],
    ['remaining', remainingMs === undefined ? undefined : duration(remainingMs)],
    ['copied', part(job.copiedBytes, job.totalBytes, exactSize)],
    ['files', part(job.copiedFiles, job.totalFiles, count)],
    ['by', methods === '' ? undefined : methods],
    ['rows', `${count(job.totalRows)} in ${counted(job.totalSegments, 'segment')}`],
    [
      'tasks',
      `${count(tasks.completed)} completed, ${count(tasks.running)} running, ${count(tasks.queued)} queued`,
    ],
    ...nodes.map(({ nodeId, taskIds }): [string, string] => [
      `node ${nodeId}`,
      `${counted(taskIds.length, 'task')}: ${taskIds.join(', ')}`,
    ]),
  ];
}

const stageText = ({ waitingMs, copyingMs }: Job['stages']): string =>
  `${duration(waitingMs)} waiting, ${duration(copyingMs)} copying`;
