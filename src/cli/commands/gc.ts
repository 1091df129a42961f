import type { GarbageResult, GarbageVerdict } from '../../coordinator/admin-api.ts';
import { toJson } from '../../support/json.ts';
import type { Json } from '../admin-client.ts';
import type { Call, Command } from '../command.ts';
import { exitCodes, UsageError } from '../exit-codes.ts';
import { count, counted, exactSize, plain, size, table } from '../format.ts';

/** As long as the longest. */
const REASON_WIDTH = 'references-not-loaded'.length;

type Verdict = Json<GarbageVerdict>;

export const gc: Command = {
  words: ['gc'],
  synopsis: '',
  summary: 'collects garbage now, or prints what that would do',
  arity: [0, 0],
  flags: {
    'dry-run': {
      type: 'boolean',
      help: 'change nothing: print for every object whether it is kept or deleted, why, its size and key; then the sums',
    },
  },
  help: 'Always of the whole server. It also runs by itself, every dataCoord.gc.interval.',
  async run(call) {
    if (call.database !== undefined)
      throw new UsageError('garbage is collected in all databases: no --database');
    await (call.flags['dry-run'] === true ? dryRun(call) : collect(call));
    return exitCodes.done;
  },
};

async function collect({ client, terminal, isJson }: Call): Promise<void> {
  terminal.progress('collecting garbage ...');
  const result = await client.ask<GarbageResult>('POST', '/gc');
  const { deletedObjects, deletedBytes, keptObjects, keptBytes } = result;
  await terminal.print(
    isJson
      ? toJson(result)
      : `Deleted ${counted(deletedObjects, 'object')}, ${exactSize(deletedBytes)}; kept ${count(keptObjects)}, ${exactSize(keptBytes)}.`,
  );
}

async function dryRun({ client, terminal, isJson }: Call): Promise<void> {
  const sums = new Sums();
  for await (const verdict of client.lines<GarbageVerdict>('GET', '/gc/plan')) {
    await terminal.print(isJson ? toJson(verdict) : lineOf(verdict));
    sums.add(verdict);
    if (sums.objects % 100 === 0) terminal.progress(`${counted(sums.objects, 'object')} looked at`);
  }
  if (!isJson) await terminal.print(sums.text());
}

/** A record of the catalog, and no object. */
const isRecord = ({ key }: Verdict): boolean => key.startsWith('record:');

const lineOf = ({ verdict, reason, sizeBytes, key, detail }: Verdict): string =>
  plain(
    `${verdict.padEnd(6)}  ${reason.padEnd(REASON_WIDTH)}  ${size(sizeBytes).padStart(10)}  ${key}  ${detail}`,
  ).trimEnd();

interface Sum {
  readonly verdict: string;
  readonly reason: string;
  readonly isOfRecords: boolean;
  objects: number;
  bytes: number;
}

class Sums {
  objects = 0;
  readonly #sums = new Map<string, Sum>();

  add(found: Verdict): void {
    const { verdict, sizeBytes } = found;
    const isOfRecords = isRecord(found);
    const reason = isOfRecords ? `${found.reason} (records)` : found.reason;
    const sum = this.#sums.get(`${verdict} ${reason}`) ?? {
      verdict,
      reason,
      isOfRecords,
      objects: 0,
      bytes: 0,
    };
    sum.objects++;
    sum.bytes += sizeBytes;
    this.#sums.set(`${verdict} ${reason}`, sum);
    if (!isOfRecords) this.objects++;
  }

  text(): string {
    const sums = [...this.#sums.values()].sort((a, b) =>
      `${a.verdict} ${a.reason}` < `${b.verdict} ${b.reason}` ? -1 : 1,
    );
    const deleted = sums.filter(({ verdict, isOfRecords }) => verdict === 'delete' && !isOfRecords);
    const total = (of: 'objects' | 'bytes') => deleted.reduce((sum, each) => sum + each[of], 0);
    const sentence =
      deleted.length === 0
        ? `\`tidemark gc\` would delete nothing and keep ${counted(this.objects, 'object')}.`
        : `\`tidemark gc\` would delete ${counted(total('objects'), 'object')}, ${exactSize(total('bytes'))}, and keep ${count(this.objects - total('objects'))}.`;
    return sums.length === 0 ? sentence : `\n${table(columns, sums)}\n\n${sentence}`;
  }
}

const columns = [
  { head: 'VERDICT', text: ({ verdict }: Sum) => verdict },
  { head: 'REASON', text: ({ reason }: Sum) => reason },
  { head: 'COUNT', isRight: true, text: ({ objects }: Sum) => count(objects) },
  { head: 'SIZE', isRight: true, text: ({ bytes }: Sum) => exactSize(bytes) },
];
