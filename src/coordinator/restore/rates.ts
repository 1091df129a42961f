/** How fast restores lately were, by the way their bytes travel: from jobs that were completed, those still listed after a restart included. */
import type { Catalog } from '../../catalog/catalog.ts';
import type { Sharing } from '../../storage/object-store.ts';
import { type CopyJob, copyJobs } from '../copy-segment/job.ts';

export type CopyMode = 'shared' | 'physical';
/** `stream`: the bytes are written again. */
export type CopyMethod = Exclude<Sharing, 'none'> | 'stream';

/** What a restore in this mode does with a store that shares like this. */
export const methodOf = (mode: CopyMode, sharing: Sharing): CopyMethod =>
  mode === 'physical' || sharing === 'none' ? 'stream' : sharing;

interface Amount {
  readonly bytes: number;
  readonly files: number;
  readonly ms: number;
}

/** What older restores count for when another one is added: the last few decide. */
const DECAY = 0.7;

export class RestoreRates {
  readonly #achieved = new Map<CopyMode, Amount>();
  readonly #defaultMode: CopyMode;

  /** `defaultMode`: of jobs that do not say. */
  constructor(catalog: Catalog, defaultMode: CopyMode) {
    this.#defaultMode = defaultMode;
    const ended = [...catalog.all(copyJobs)].filter((job) => job.state === 'completed');
    for (const job of ended.toSorted((a, b) => a.endedAtMs - b.endedAtMs)) this.#note(job);
    catalog.onChange((changes) => {
      for (const { table, was, is } of changes) {
        if (table !== copyJobs) continue;
        const [before, now] = [was as CopyJob | undefined, is as CopyJob | undefined];
        if (now?.state === 'completed' && before?.state !== 'completed') this.#note(now);
      }
    });
  }

  /** Milliseconds; undefined while nothing comparable was restored. A link costs by the file, a copy of bytes by the byte. */
  estimate(
    mode: CopyMode,
    method: CopyMethod,
    todo: { readonly bytes: number; readonly files: number },
  ): number | undefined {
    const unit = method === 'stream' ? 'bytes' : 'files';
    const done = this.#achieved.get(mode);
    return done === undefined || done[unit] === 0 ? undefined : (done.ms * todo[unit]) / done[unit];
  }

  #note(job: CopyJob & { readonly state: 'completed' }): void {
    // A job with a purpose took time for that, too.
    if (job.totalFiles === 0 || job.purpose !== undefined) return;
    const mode = job.copyMode ?? this.#defaultMode;
    const { bytes, files, ms } = this.#achieved.get(mode) ?? { bytes: 0, files: 0, ms: 0 };
    this.#achieved.set(mode, {
      bytes: bytes * DECAY + job.totalBytes,
      files: files * DECAY + job.totalFiles,
      ms: ms * DECAY + Math.max(1, job.endedAtMs - job.createdAtMs),
    });
  }
}
