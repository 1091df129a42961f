/**
 * Index work for worker threads, and the calls that hand it over. Blocks of the arena are shared, not copied; each task gets scratch of its
 * own in the same memory. The caller keeps the blocks until the promise has settled.
 */

import { assert } from '../support/assert.ts';
import { mapLimited } from '../support/limiter.ts';
import type { Workers, WorkerTasks } from '../support/workers.ts';
import type { Block, VectorArena } from './arena.ts';
import { type ScanInput, scanScratchBytes, scanTopK } from './flat.ts';
import { type HnswRef, type HnswSearch, hnswScratchBytes, searchHnsw } from './hnsw.ts';
import { buildHnsw } from './hnsw-build.ts';
import type { HnswParams } from './hnsw-file.ts';
import { Kernels, type Scratch, type WasmMemory } from './kernels.ts';
import type { Metric } from './metric.ts';
import { mergeTopK, type TopK } from './top-k.ts';

/** Shared by the thread that builds and the one that waits for it. */
export interface BuildControl {
  /** Two 32-bit words: whether to stop, and the rows done. */
  readonly shared: SharedArrayBuffer;
}

export interface BuildHnswTask {
  /** `dim` floats a row. Transfer it when it is not needed any more, or let it lie in shared memory. */
  readonly vectors: Float32Array;
  readonly dim: number;
  readonly metric: Metric;
  readonly params: HnswParams;
  readonly control?: BuildControl;
}

interface InMemory {
  readonly memory: WasmMemory;
  readonly scratch: Scratch;
}
interface ScanTask extends InMemory {
  readonly scan: ScanInput;
}
interface SearchHnswTask extends InMemory {
  readonly index: HnswRef;
  readonly search: HnswSearch;
}

const answer = (hits: TopK) => ({ output: hits, transfer: buffersOf(hits) });
const buffersOf = (hits: TopK): ArrayBuffer[] =>
  [hits.counts, hits.rows, hits.scores].map(({ buffer }) => {
    assert(buffer instanceof ArrayBuffer, 'hits are not in shared memory');
    return buffer;
  });

/** What a worker thread can do for this room. */
export const vectorTasks = (): WorkerTasks => ({
  async 'build-hnsw'({ control, ...input }: BuildHnswTask) {
    const words = control && new Int32Array(control.shared);
    const onProgress = (rowsDone: number): boolean => {
      if (words === undefined) return true;
      Atomics.store(words, 1, rowsDone);
      return Atomics.load(words, 0) === 0;
    };
    const image = buildHnsw({ ...input, onProgress });
    return { output: image, transfer: [image.buffer] };
  },
  async 'scan-vectors'({ memory, scratch, scan }: ScanTask) {
    return answer(scanTopK(new Kernels(memory, scratch), scan));
  },
  async 'search-hnsw'({ memory, scratch, index, search }: SearchHnswTask) {
    return answer(searchHnsw(new Kernels(memory, scratch), index, search));
  },
});

/** A build in a worker thread. */
export interface RunningBuild {
  /** The index file. Rejects with `cancelled`, `parameter-invalid`, `resource-exhausted`. */
  readonly image: Promise<Uint8Array<ArrayBuffer>>;
  rowsDone(): number;
  /** Makes the build stop soon. */
  cancel(): void;
}

/** Builds an index file in a worker. `vectors` is moved there and unusable afterwards, unless its memory is shared. */
export function startHnswBuild(workers: Workers, task: Omit<BuildHnswTask, 'control'>): RunningBuild {
  const shared = new SharedArrayBuffer(8);
  const words = new Int32Array(shared);
  const { buffer } = task.vectors;
  const transfer = buffer instanceof ArrayBuffer ? [buffer] : [];
  return {
    image: workers.run<BuildHnswTask, Uint8Array<ArrayBuffer>>(
      'build-hnsw',
      { ...task, control: { shared } },
      transfer,
    ),
    rowsDone: () => Atomics.load(words, 1),
    cancel: () => Atomics.store(words, 0, 1),
  };
}

/** Scans in workers, the rows cut into `slices`, at most that many at once. `scan.vectorsOffset` lies in `vectors`. Throws `resource-exhausted`. */
export async function scanInWorkers(
  workers: Workers,
  arena: VectorArena,
  vectors: Block,
  scan: ScanInput,
  slices: number,
): Promise<TopK> {
  const rows = scan.to - scan.from;
  // Whole words of the bitmap, so that no slice reads another's.
  const step = Math.max(32, Math.ceil(rows / slices / 32) * 32);
  const starts = Array.from({ length: Math.max(1, Math.ceil(rows / step)) }, (_, i) => scan.from + i * step);
  const parts = await mapLimited(starts, slices, (from) => {
    const slice = { ...scan, from, to: Math.min(from + step, scan.to) };
    return withScratch(arena, vectors, scanScratchBytes(slice), (place) =>
      workers.run<ScanTask, TopK>('scan-vectors', { ...place, scan: slice }),
    );
  });
  const { counts, rows: found, scores } = mergeTopK(scan.metric, scan.k, parts);
  return { counts, rows: found, scores };
}

/** Searches an opened index in a worker: for many queries at once, or a large `ef`. Throws `resource-exhausted`. */
export const searchHnswInWorker = (
  workers: Workers,
  arena: VectorArena,
  graph: Block,
  index: HnswRef,
  search: HnswSearch,
): Promise<TopK> =>
  withScratch(arena, graph, hnswScratchBytes(index.header, search), (place) =>
    workers.run<SearchHnswTask, TopK>('search-hnsw', { ...place, index, search }),
  );

async function withScratch<T>(
  arena: VectorArena,
  neighbour: Block,
  bytes: number,
  work: (place: InMemory) => Promise<T>,
): Promise<T> {
  const block = arena.allocateScratch(neighbour, bytes);
  const { memory, byteOffset, byteLength } = block;
  try {
    return await work({ memory, scratch: { byteOffset, byteLength } });
  } finally {
    arena.free(block);
  }
}
