/**
 * A worker thread that prepares large inserts. A script of its own, with little to load: the first large insert after a while waits
 * for the thread to start.
 */
import { writeTasks } from './proxy/handlers/prepared-write.ts';
import { serveTasks } from './support/worker-side.ts';

serveTasks(writeTasks());
