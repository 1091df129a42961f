/** A worker thread: the heavy tasks of flush, compaction, index building, loading and scanning, over the files of one data directory. */
import { workerData } from 'node:worker_threads';
import { indexBuildContext } from './datanode/indexbuild/context.ts';
import { indexBuildTasks } from './datanode/indexbuild/task.ts';
import { filterTasks } from './expr/slow.ts';
import { sparseLoadTasks } from './querynode/load-task.ts';
import { scalarIndexTasks } from './scalar-index/tasks.ts';
import { compactTasks } from './segment/compact.ts';
import { fingerprintTasks } from './segment/fingerprint.ts';
import { flushTasks } from './segment/flush.ts';
import { loadTasks } from './segment/load.ts';
import { checkObjectTasks } from './storage/check-object.ts';
import { LocalStore } from './storage/local.ts';
import { backgroundClock } from './support/system-clock.ts';
import { buildFolder } from './support/system-package.ts';
import { ThreadWorkers } from './support/system-workers.ts';
import { serveTasks } from './support/worker-side.ts';
import { textTasks } from './text/text-tasks.ts';
import type { Helpers } from './vector-index/hnsw-crew.ts';
import { vectorTasks } from './vector-index/search-tasks.ts';
import { FileWalReader } from './wal/file-reader.ts';

export interface WorkerData {
  readonly objects: string;
  readonly wal: string;
  /** Threads that build one graph, this one among them. Absent: this one. */
  readonly graphThreads?: number;
}

const HELPER_IDLE_MS = 5000;

const { objects, wal, graphThreads = 1 } = workerData as WorkerData;
const store = await LocalStore.attach(objects);

/** They end with this thread: whoever cuts it off cuts them off too. */
function helpers(): Helpers | undefined {
  const count = graphThreads - 1;
  if (count === 0) return undefined;
  const script = new URL('graph-worker.js', buildFolder());
  const clock = backgroundClock;
  const workers = new ThreadWorkers({
    script,
    maxThreads: count,
    maxQueued: count,
    idleMs: HELPER_IDLE_MS,
    clock,
  });
  return { workers, count };
}

serveTasks({
  ...flushTasks({ store, wal: new FileWalReader(wal) }),
  ...loadTasks({ store }),
  ...sparseLoadTasks({ store }),
  ...compactTasks({ store }),
  ...indexBuildTasks(indexBuildContext(store, helpers())),
  ...vectorTasks(),
  ...textTasks(),
  ...filterTasks(),
  ...scalarIndexTasks(),
  ...checkObjectTasks(store),
  ...fingerprintTasks(store),
});
