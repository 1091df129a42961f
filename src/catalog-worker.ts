/** The thread that writes the catalog. */
import { catalogTasks } from './catalog/commit-thread.ts';
import { serveTasks } from './support/worker-side.ts';

serveTasks(catalogTasks());
