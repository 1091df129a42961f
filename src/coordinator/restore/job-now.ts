import type { Catalog } from '../../catalog/catalog.ts';
import type { Clock } from '../../support/clock.ts';
import type { RestoreJobInfo } from '../api.ts';
import { isAside } from '../collections/names.ts';
import type { CopyJob } from '../copy-segment/job.ts';
import type { CopyMeta } from '../copy-segment/meta.ts';
import { snapshots } from '../snapshot/record.ts';
import { collections, databases } from '../tables.ts';
import { purposeInfo, restoreJobInfo } from './progress.ts';

/** A job as it is now, under the name its target has now, unless that is nobody's. `trouble`: what its ending last met. */
export function restoreJobNow(
  { catalog, clock, meta }: { readonly catalog: Catalog; readonly clock: Clock; readonly meta: CopyMeta },
  job: CopyJob,
  trouble: string | undefined,
): RestoreJobInfo {
  const target = catalog.get(collections, job.collectionId);
  const database = catalog.get(databases, target?.databaseId ?? job.databaseId);
  const isNamed = target !== undefined && !isAside(target.name);
  const tally = meta.tally(job.jobId);
  const info = restoreJobInfo(job, tally, clock.nowMs(), {
    databaseName: database?.name ?? job.databaseName,
    collectionName: isNamed ? target.name : job.collectionName,
  });
  if (job.purpose === undefined) return info;
  const isCopied = tally.tasks.completed === job.taskCount;
  const kept = catalog.find(snapshots, 'collection', job.sourceCollectionId).length;
  const purpose = purposeInfo(job, isCopied, kept, trouble);
  return purpose === undefined ? info : { ...info, purpose };
}
