/** A thread that helps another one build a graph. */
import { serveTasks } from './support/worker-side.ts';
import { helpTasks } from './vector-index/hnsw-crew.ts';

serveTasks(helpTasks());
