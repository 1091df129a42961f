/** What a restore would do, checked as the restore would be, with a look at every object it would copy. Makes and changes nothing. */
import type { ObjectStore } from '../../storage/object-store.ts';
import { mapLimited } from '../../support/limiter.ts';
import type { RestorePreview } from '../admin-api.ts';
import type { RestoreSnapshot } from '../api.ts';
import { allFiles, type SnapshotSegment } from '../snapshot/segment.ts';
import type { RestoreAdmission } from './admission.ts';
import type { RestoreRates } from './rates.ts';

type Problem = RestorePreview['problems'][number];

/** Problems that are told; the rest is counted. */
const MAX_PROBLEMS = 1000;

export async function previewRestore(
  { store, admission, rates, objectsAtOnce }: PreviewParts,
  request: RestoreSnapshot,
  signal: AbortSignal,
): Promise<RestorePreview> {
  const objects = new ObjectLook(store, objectsAtOnce, signal);
  const admitted = await admission.admit(request, (segments) => objects.look(segments));
  const { size, copyMode: mode, method, freeBytes, database } = admitted;
  const estimatedMs = rates.estimate(mode, method, { bytes: size.totalBytes, files: size.totalFiles });
  const { segmentCount, taskCount, totalBytes, totalFiles, totalRows } = size;
  return {
    snapshotName: request.name,
    databaseName: database.name,
    collectionName: request.target.name,
    segmentCount,
    taskCount,
    totalBytes,
    totalFiles,
    totalRows,
    mode,
    method,
    problems: objects.problems,
    problemCount: objects.problemCount,
    ...(freeBytes === undefined ? {} : { freeBytes }),
    ...(estimatedMs === undefined ? {} : { estimatedMs: Math.ceil(estimatedMs) }),
  };
}

export interface PreviewParts {
  readonly store: ObjectStore;
  readonly admission: RestoreAdmission;
  readonly rates: RestoreRates;
  readonly objectsAtOnce: number;
}

class ObjectLook {
  readonly problems: Problem[] = [];
  problemCount = 0;
  readonly #store: ObjectStore;
  readonly #objectsAtOnce: number;
  readonly #signal: AbortSignal;

  constructor(store: ObjectStore, objectsAtOnce: number, signal: AbortSignal) {
    this.#store = store;
    this.#objectsAtOnce = objectsAtOnce;
    this.#signal = signal;
  }

  async look(segments: readonly SnapshotSegment[]): Promise<void> {
    await mapLimited(segments.flatMap(allFiles), this.#objectsAtOnce, async ({ key, sizeBytes }) => {
      this.#signal.throwIfAborted();
      const found = await this.#store.stat(key);
      if (found?.sizeBytes === sizeBytes) return;
      const detail =
        found === undefined ? 'is missing' : `has ${found.sizeBytes} bytes, ${sizeBytes} were written`;
      this.problemCount++;
      if (this.problems.length < MAX_PROBLEMS) this.problems.push({ key, detail });
    });
  }
}
