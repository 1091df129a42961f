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
import { serveTasks } from './support/worker-side.ts';
import { textTasks } from './text/text-tasks.ts';
import { vectorTasks } from './vector-index/search-tasks.ts';
import { FileWalReader } from './wal/file-reader.ts';

export interface WorkerData {
  readonly objects: string;
  readonly wal: string;
}

const { objects, wal } = workerData as WorkerData;
const store = await LocalStore.attach(objects);
serveTasks({
  ...flushTasks({ store, wal: new FileWalReader(wal) }),
  ...loadTasks({ store }),
  ...sparseLoadTasks({ store }),
  ...compactTasks({ store }),
  ...indexBuildTasks(indexBuildContext(store)),
  ...vectorTasks(),
  ...textTasks(),
  ...filterTasks(),
  ...scalarIndexTasks(),
  ...checkObjectTasks(store),
  ...fingerprintTasks(store),
});
