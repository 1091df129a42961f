import type { VerifyStep } from '../../coordinator/admin-api.ts';
import { toJson } from '../../support/json.ts';
import { type Json, pathOf, ServerError } from '../admin-client.ts';
import { type Command, snapshotName, snapshotText, textFlag } from '../command.ts';
import { exitCodes, UsageError } from '../exit-codes.ts';
import { count, counted, exactSize, plain, size } from '../format.ts';

type Step = Json<VerifyStep>;
type StepOf<K extends VerifyStep['kind']> = Json<Extract<VerifyStep, { readonly kind: K }>>;

export const snapshotVerify: Command = {
  words: ['snapshot', 'verify'],
  synopsis: 'COLLECTION NAME',
  summary: "reads a snapshot's objects and compares size and checksum",
  arity: [1, 2],
  flags: {
    subset: {
      type: 'string',
      value: 'PERCENT',
      help: 'read this part of the data objects only, such as 5%; metadata and manifests are always read',
    },
  },
  help: `COLLECTION/NAME and DATABASE/COLLECTION/NAME are understood, too. Names every object that is missing, short, long, corrupt or
unreadable, and ends with 3 when there is one. Ctrl-C stops it, in the server, too.`,
  async run({ args, flags, database, client, terminal, isJson }) {
    const of = snapshotName(args, database);
    const subset = percentOf(textFlag(flags, 'subset'));
    const path = `${pathOf('snapshots', of.database, of.collection, of.name)}/verify`;
    let end: StepOf<'end'> | undefined;
    for await (const step of client.lines<VerifyStep>('POST', path, { subset })) {
      if (isJson) await terminal.print(toJson(step));
      else if (step.kind === 'problem') await terminal.print(problemText(step));
      if (step.kind === 'progress') terminal.progress(progressText(snapshotText(of), step));
      if (step.kind === 'end') end = step;
    }
    if (end === undefined) throw new ServerError('the verification ended before its time');
    if (!isJson) await terminal.print(verdict(snapshotText(of), end));
    return end.problems === 0 ? exitCodes.done : exitCodes.damaged;
  },
};

function percentOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const percent = Number(text.replace(/%$/, ''));
  if (!(percent > 0 && percent <= 100) || !/^[\d.]+%?$/.test(text))
    throw new UsageError(`--subset: '${text}' is not a percentage such as 5%`);
  return `${percent}%`;
}

function problemText({ problem, object, segmentId, key, detail }: StepOf<'problem'>): string {
  const what = segmentId === undefined ? object : `${object} of segment ${segmentId}`;
  return `${problem.padEnd(10)}  ${plain(key)}\n${' '.repeat(12)}${plain(`${what}: ${detail}`)}`;
}

function progressText(
  name: string,
  { objects, totalObjects, bytes, totalBytes }: StepOf<'progress'>,
): string {
  const percent = totalBytes === 0 ? 0 : Math.floor((100 * bytes) / totalBytes);
  return `verifying ${name}  ${percent} %  ${count(objects)} of ${counted(totalObjects, 'object')}, ${size(bytes)} of ${size(totalBytes)}`;
}

function verdict(
  name: string,
  { objects, totalObjects, bytes, totalBytes, problems }: Extract<Step, { kind: 'end' }>,
): string {
  const isAll = objects === totalObjects;
  const read = isAll
    ? `all of its ${counted(totalObjects, 'object')} read, ${exactSize(bytes)}`
    : `${count(objects)} of its ${counted(totalObjects, 'object')} read, ${size(bytes)} of ${size(totalBytes)}`;
  if (problems > 0) return `${name} is DAMAGED: ${counted(problems, 'object')} wrong; ${read}`;
  return `${name} is sound${isAll ? '' : ' as far as it was read'}: ${read}`;
}
