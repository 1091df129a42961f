/** Log records of a sealed segment become its immutable files. Runs in a worker thread; repeatable: same records, same bytes. */
import { DbError } from '../errors/db-error.ts';
import type { CollectionId, PartitionId, SegmentId } from '../model/ids.ts';
import type { SegmentFile, SegmentLevel } from '../model/records.ts';
import type { CollectionSchema } from '../model/schema.ts';
import { deletesKey, rowsKey, statsKey } from '../storage/keys.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { mapLimited } from '../support/limiter.ts';
import type { WorkerTasks } from '../support/workers.ts';
import { withAbsentOutputs } from '../text/function-rows.ts';
import { type AppliedWrite, decodeWrite, type WritePart } from '../wal/message.ts';
import type { Wal, WalPosition } from '../wal/wal.ts';
import { putFile } from './checked-file.ts';
import { asKeys, encodeDeletes } from './deletes-file.ts';
import { lengthOf, pickScalars } from './pick-rows.ts';
import { encodeRows, type WrittenRows } from './rows-file.ts';
import { allRows } from './runs.ts';
import { encodeStats, keyRange } from './stats.ts';

export const FLUSH_SEGMENT = 'flush-segment';

export interface FlushInput {
  readonly place: {
    readonly collectionId: CollectionId;
    readonly partitionId: PartitionId;
    readonly segmentId: SegmentId;
  };
  readonly level: SegmentLevel;
  readonly schema: CollectionSchema;
  readonly positions: readonly WalPosition[];
}

export interface FlushResult {
  /** L1: rows, stats. L0: deletes. */
  readonly files: readonly SegmentFile[];
  /** Rows, deleted ones included; of an L0 segment its deletes. */
  readonly rowCount: number;
}

export interface FlushContext {
  readonly store: ObjectStore;
  readonly wal: Pick<Wal, 'read'>;
}

/** Log records read at once. */
const READS_AT_ONCE = 8;

/** The worker's task `flush-segment`: `FlushInput` to `FlushResult`. */
export function flushTasks(context: FlushContext): WorkerTasks {
  return {
    [FLUSH_SEGMENT]: async (input: FlushInput) => ({
      output: await flushSegment(context, input),
      transfer: [],
    }),
  };
}

async function flushSegment({ store, wal }: FlushContext, input: FlushInput): Promise<FlushResult> {
  const { place, level, positions } = input;
  const writes = await mapLimited(positions, READS_AT_ONCE, async (position) =>
    decodeWrite(await wal.read(position)),
  );
  if (level === 'L0') {
    const deletes = writes.flatMap((write) =>
      partsOf(write, input, 'delete').map(({ keys }) => ({ ts: write.ts, keys })),
    );
    const rowCount = deletes.reduce((sum, { keys }) => sum + keys.values.length, 0);
    return { files: [await putFile(store, 'deletes', deletesKey(place), encodeDeletes(deletes))], rowCount };
  }
  const rows = writes.flatMap((write) =>
    partsOf(write, input, 'insert').map((part) => ({
      ts: write.ts,
      rows: withAbsentOutputs(input.schema, part.rows),
    })),
  );
  return {
    files: [
      await putFile(
        store,
        'rows',
        rowsKey(place, input.schema.version),
        encodeRows(input.schema.fields, rows),
      ),
      await putFile(store, 'stats', statsKey(place), encodeStats(statsOf(input.schema, rows))),
    ],
    rowCount: countRows(rows),
  };
}

type PartOf<Kind> = Extract<WritePart, { readonly kind: Kind }>;

/** The parts of a write that went to the segment. Throws `data-integrity` when there are none, or of the other kind. */
function partsOf<Kind extends WritePart['kind']>(
  write: AppliedWrite,
  { place: { segmentId } }: FlushInput,
  kind: Kind,
): readonly PartOf<Kind>[] {
  const parts = write.parts.filter((_, i) => write.segmentIds[i] === segmentId);
  const wanted = parts.filter((part): part is PartOf<Kind> => part.kind === kind);
  if (wanted.length === 0 || wanted.length !== parts.length)
    throw new DbError(
      'data-integrity',
      `the write at ${write.ts} is not made of ${kind}s for segment ${segmentId}`,
    );
  return wanted;
}

const countRows = (writes: readonly WrittenRows[]): number =>
  writes.reduce((sum, { rows }) => sum + rows.rowCount, 0);

function statsOf({ fields }: CollectionSchema, writes: readonly WrittenRows[]) {
  const key = fields.find(({ isPrimaryKey }) => isPrimaryKey);
  const columns = writes.flatMap(({ rows }) => (key && rows.columns.get(key.fieldId)) ?? []);
  const [first, last] = [writes[0], writes.at(-1)];
  if (first === undefined || last === undefined || columns.length !== writes.length)
    throw new DbError('data-integrity', 'rows without a primary key');
  return {
    rowCount: countRows(writes),
    minTs: first.ts,
    maxTs: last.ts,
    ...keyRange(pickScalars(columns.map(asKeys), allRows(columns.map(lengthOf)))),
  };
}
