/** From a view of the catalog to units: decides what has changed, loads it, hands it over in one step. */
import { DbError } from '../errors/db-error.ts';
import type { FieldId, SegmentId } from '../model/ids.ts';
import type { DenseMetric } from '../model/metric.ts';
import type { SegmentIndex, SegmentRecord } from '../model/records.ts';
import type { PrimaryKeys, RowBatch } from '../model/rows.ts';
import { type CollectionSchema, type FieldSchema, isDenseVector } from '../model/schema.ts';
import { keyList } from '../segment/key-column.ts';
import { mapLimited } from '../support/limiter.ts';
import type { Workers } from '../support/workers.ts';
import type { SparseIndex } from '../vector-index/sparse.ts';
import type { CollectionView } from './api.ts';
import type { CollectionRows } from './collection.ts';
import type { Pacer } from './pacer.ts';
import { type Definitions, definitionsOf, haveChanged, loadScalarIndexes } from './scalar-indexes.ts';
import type { SealedSegment } from './swap.ts';
import {
  keyFieldOf,
  letGo,
  openEach,
  requireField,
  type ScalarIndexes,
  Shared,
  Unit,
  type UnitIndex,
} from './unit.ts';
import { blockFloats, type GraphIndex, type VectorBlock, type VectorEngine } from './vectors.ts';
import { diffSegments, type SegmentsDiff } from './view-diff.ts';

export interface GraphShape {
  readonly rowCount: number;
  readonly dim: number;
  readonly metric: DenseMetric;
}

/**
 * Reads the files of flushed segments, checksums verified, off the event loop. Throws `data-integrity`, `object-not-found`, and the
 * reason of a signal that is aborted meanwhile, once nothing is read any more.
 */
export interface SegmentFiles {
  /** Vectors go to the blocks; their columns are among the result's. */
  rows(
    record: SegmentRecord,
    schema: CollectionSchema,
    vectors: ReadonlyMap<FieldId, VectorBlock>,
    signal: AbortSignal,
  ): Promise<{
    readonly batch: RowBatch;
    readonly timestamps: BigInt64Array;
    /** Posting lists of the fields of sparse vectors. */
    readonly sparse?: ReadonlyMap<FieldId, SparseIndex>;
  }>;
  deletes(
    record: SegmentRecord,
    keyField: FieldSchema,
    signal: AbortSignal,
  ): Promise<{ readonly keys: PrimaryKeys; readonly timestamps: BigInt64Array }>;
  /** The file must fit `shape`. Undefined: of a kind this node cannot search; it scans instead. */
  graph(
    index: SegmentIndex,
    vectors: VectorBlock,
    shape: GraphShape,
    signal: AbortSignal,
  ): Promise<{ readonly graph: GraphIndex; free(): void } | undefined>;
}

export interface LoadOptions {
  readonly files: SegmentFiles;
  readonly engine: VectorEngine;
  /** Make indexes of scalar fields. Absent: there are none. */
  readonly workers?: Workers | undefined;
  readonly pacer: Pacer;
  readonly signal: AbortSignal;
  /** Segments loaded at once. */
  readonly parallelLoads: number;
  readonly onLoaded: (record: SegmentRecord) => void;
  /** Resolves when every write that the files may hold is applied: only then readers may see what they do. */
  readonly written: Promise<void>;
}

export interface UpdatePlan extends SegmentsDiff {
  readonly load: readonly SegmentRecord[];
  /** Same rows, other indexes. */
  readonly reindex: readonly SegmentRecord[];
  /** L0 segments whose deletes are not known. */
  readonly deletes: readonly SegmentRecord[];
}

const rowFiles = ({ files }: SegmentRecord): string =>
  files.map(({ key, crc32, sizeBytes }) => `${key} ${sizeBytes} ${crc32}`).join('\n');
const indexBuilds = ({ indexes }: SegmentRecord): string => indexes.map(({ buildId }) => buildId).join();

/** Pure: what stands between the rows in memory and the view. Costs in proportion to what has changed. */
export function planUpdate(rows: CollectionRows, view: CollectionView): UpdatePlan {
  const { gone, fresh } = diffSegments(rows.view.segments, view.segments);
  const plan = {
    load: [] as SegmentRecord[],
    reindex: [] as SegmentRecord[],
    deletes: [] as SegmentRecord[],
    gone,
    fresh,
  };
  for (const record of fresh) {
    const present = rows.sealed(record.segmentId)?.record;
    if (record.level === 'L0') {
      if (!rows.knowsDeletes(record.segmentId)) plan.deletes.push(record);
    } else if (
      present === undefined ||
      rowFiles(present) !== rowFiles(record) ||
      rows.lacksOutput(record, view)
    )
      plan.load.push(record);
    else if (indexBuilds(present) !== indexBuilds(record)) plan.reindex.push(record);
  }
  plan.load.push(...rows.withoutOutputs(view, new Set(fresh)));
  if (haveChanged(rows.view, view)) plan.reindex.push(...others(view, plan));
  return plan;
}

/** Segments that nothing else is to be done about. */
function others({ segments }: CollectionView, { load, reindex }: UpdatePlan): readonly SegmentRecord[] {
  const planned = new Set([...load, ...reindex]);
  return segments.filter((record) => record.level !== 'L0' && !planned.has(record));
}

/**
 * All or nothing: when it rejects, readers go on with what they had and nothing of the attempt is kept. `handedOver`: segments of
 * the log that the view, when it was taken, did not have there any more.
 */
export async function applyView(
  rows: CollectionRows,
  view: CollectionView,
  handedOver: readonly SegmentId[],
  options: LoadOptions,
): Promise<void> {
  const plan = planUpdate(rows, view);
  const loaded: SealedSegment[] = [];
  const reindexed: Reindexed[] = [];
  const definitions = definitionsOf(view);
  try {
    await mapLimited([...plan.deletes, ...plan.load], options.parallelLoads, async (record) => {
      if (record.level === 'L0') await loadDeletes(rows, record, view.schema, options);
      else {
        const unit = await loadUnit(record, view, definitions, options);
        loaded.push({ record, unit });
        await rows.prepare(unit, options.pacer);
      }
      options.onLoaded(record);
    });
    await mapLimited(plan.reindex, options.parallelLoads, async (record) => {
      const unit = rows.sealed(record.segmentId)?.unit;
      if (unit !== undefined) reindexed.push(await reindex(record, unit, view, definitions, options));
    });
    await options.written;
    options.signal.throwIfAborted();
  } catch (error) {
    for (const { unit } of loaded) rows.discard(unit);
    for (const { record, indexes, scalarIndexes } of reindexed) {
      const unit = rows.sealed(record.segmentId)?.unit;
      letGo(indexes, unit?.indexes);
      letGo(scalarIndexes, unit?.scalarIndexes);
    }
    throw error;
  }
  rows.swap({ view, plan, handedOver, loaded, reindexed });
}

interface Reindexed {
  readonly record: SegmentRecord;
  readonly indexes: ReadonlyMap<FieldId, UnitIndex>;
  readonly scalarIndexes: ScalarIndexes;
}

async function reindex(
  record: SegmentRecord,
  unit: Unit,
  view: CollectionView,
  definitions: Definitions,
  options: LoadOptions,
): Promise<Reindexed> {
  const indexes = await loadIndexes(record, unit, view, options);
  try {
    return { record, indexes, scalarIndexes: await loadScalarIndexes(unit, definitions, options) };
  } catch (error) {
    letGo(indexes, unit.indexes);
    throw error;
  }
}

async function loadDeletes(
  rows: CollectionRows,
  record: SegmentRecord,
  schema: CollectionSchema,
  { files, pacer, signal, written }: LoadOptions,
): Promise<void> {
  signal.throwIfAborted();
  const { keys, timestamps } = await files.deletes(record, keyFieldOf(schema), signal);
  if (keys.values.length !== record.rowCount || timestamps.length !== record.rowCount)
    throw damaged(record, `holds ${keys.values.length} deletes instead of ${record.rowCount}`);
  // They reach rows that are read already: a read before the write that they are of must not see them.
  await written;
  await rows.learnDeletes(record, keyList(keys), timestamps, pacer);
}

const damaged = ({ segmentId }: SegmentRecord, what: string): DbError =>
  new DbError('data-integrity', `segment ${segmentId} ${what}`);

async function loadUnit(
  record: SegmentRecord,
  view: CollectionView,
  definitions: Definitions,
  options: LoadOptions,
): Promise<Unit> {
  options.signal.throwIfAborted();
  const { schema } = view;
  const { segmentId, partitionId, channel, rowCount } = record;
  const vectors = new Map<FieldId, VectorBlock>();
  let unit: Unit | undefined;
  try {
    for (const { fieldId, dataType, dim = 0 } of schema.fields)
      if (isDenseVector(dataType)) {
        const graph = record.indexes.find((index) => index.fieldId === fieldId && index.kind === 'HNSW');
        const floats = blockFloats(dataType, dim, rowCount);
        vectors.set(fieldId, options.engine.allocate(floats, graph?.file.sizeBytes));
      }
    const { files, signal } = options;
    const { batch, timestamps, sparse = new Map() } = await files.rows(record, schema, vectors, signal);
    if (batch.rowCount !== rowCount || timestamps.length !== rowCount)
      throw damaged(record, `holds ${batch.rowCount} rows instead of ${rowCount}`);
    const place = { segmentId, partitionId, channel };
    const columns = new Map([...batch.columns].map(([fieldId, column]) => [fieldId, { column }]));
    unit = new Unit({ place, schema, capacity: rowCount, columns, timestamps, vectors, sparse });
    unit.setIndexes(await loadIndexes(record, unit, view, options));
    unit.setScalarIndexes(await loadScalarIndexes(unit, definitions, options));
    return unit;
  } catch (error) {
    if (unit !== undefined) unit.release();
    else for (const block of vectors.values()) block.free();
    throw error;
  }
}

const isDenseMetric = (name: string): name is DenseMetric =>
  name === 'L2' || name === 'IP' || name === 'COSINE';

/** The metric the user built the index for; undefined when its definition is gone or names another. */
function metricOf(view: CollectionView, { indexId }: SegmentIndex): DenseMetric | undefined {
  const metric = view.indexes.find((each) => each.indexId === indexId)?.params['metric_type'];
  return metric !== undefined && isDenseMetric(metric) ? metric : undefined;
}

/** Indexes the unit already has are taken over. */
const loadIndexes = (
  record: SegmentRecord,
  unit: Unit,
  view: CollectionView,
  { files, signal }: LoadOptions,
): Promise<ReadonlyMap<FieldId, UnitIndex>> =>
  openEach(record.indexes, unit.indexes, signal, async (index) => {
    const present = unit.indexes.get(index.fieldId);
    const isSame = present?.buildId === index.buildId;
    return [index.fieldId, isSame ? present : await openIndex(index, unit, view, { files, signal })];
  });

async function openIndex(
  index: SegmentIndex,
  unit: Unit,
  view: CollectionView,
  { files, signal }: Pick<LoadOptions, 'files' | 'signal'>,
): Promise<UnitIndex | undefined> {
  const vectors = unit.vectors.get(index.fieldId);
  const metric = metricOf(view, index);
  if (vectors === undefined || metric === undefined) return undefined;
  const dim = requireField(view.schema, index.fieldId).dim ?? 0;
  const opened = await files.graph(index, vectors, { rowCount: unit.capacity, dim, metric }, signal);
  return opened && { buildId: index.buildId, graph: opened.graph, memory: new Shared([opened]) };
}
