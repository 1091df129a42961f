/** What is served over HTTP, as a table. */
import type { SnapshotAdmin } from '../coordinator/admin-api.ts';
import type { Coordinator, RestoreSnapshot, RestoreState } from '../coordinator/api.ts';
import type { JobId } from '../model/ids.ts';
import { toJson } from '../support/json.ts';
import type { Metrics } from './metrics.ts';
import {
  pageOf,
  parseCollection,
  parseId,
  parseOneOf,
  parseOptionalName,
  parsePage,
  parsePartitions,
  parseReason,
  parseSnapshot,
  parseSubset,
  snapshotAt,
} from './parameters.ts';
import type { Answer, Asked, Route } from './router.ts';

/** What of the coordinator's door is offered here. */
export type AdminDoor = Pick<
  Coordinator,
  | 'health'
  | 'listDatabases'
  | 'listCollections'
  | 'listRestoreJobs'
  | 'restoreState'
  | 'restoreSnapshot'
  | 'previewRestore'
  | 'copySegmentStats'
  | 'compactionStats'
  | keyof SnapshotAdmin
  | 'restoreInPlace'
  | 'settleSwap'
  | 'drillRestore'
>;

export interface Site {
  readonly coordinator: AdminDoor;
  readonly version: string;
  readonly metrics: Metrics;
}

const json = (value: unknown, status = 200): Answer => ({
  kind: 'whole',
  status,
  type: 'application/json',
  body: `${toJson(value)}\n`,
});

/** A quick read. */
const read = (path: string, query: readonly string[], help: string, answer: Route['answer']): Route => ({
  method: 'GET',
  path,
  query,
  help,
  isWork: false,
  answer,
});

const work = (
  method: Route['method'],
  path: string,
  query: readonly string[],
  help: string,
  answer: Route['answer'],
): Route => ({ method, path, query, help, isWork: true, answer });

export function adminRoutes(site: Site): readonly Route[] {
  const routes: readonly Route[] = [
    ...systemRoutes(site),
    ...snapshotRoutes(site.coordinator),
    ...garbageRoutes(site.coordinator),
    ...restoreRoutes(site.coordinator),
    ...beyondRoutes(site.coordinator),
  ];
  const index = read('/', [], 'this text', () => ({
    kind: 'whole',
    status: 200,
    type: 'text/plain; charset=utf-8',
    body: indexText(site.version, [...routes, index]),
  }));
  return [...routes, index];
}

function indexText(version: string, routes: readonly Route[]): string {
  const lines = routes.map(({ method, path, query, help }) => {
    const parameters = query.length === 0 ? '' : `?${query.map((name) => `${name}=`).join('&')}`;
    return `${method.padEnd(4)} ${path}${parameters}\n       ${help}\n`;
  });
  return `Tidemark ${version}\n\n${lines.join('')}`;
}

const systemRoutes = ({ coordinator, metrics }: Site): readonly Route[] => [
  read('/healthz', [], 'health; 503 and the reasons when something is wrong', () => {
    const health = coordinator.health();
    return json(health, health.isHealthy ? 200 : 503);
  }),
  read('/metrics', [], 'metrics for Prometheus', async () => {
    const { type, text } = await metrics.text();
    return { kind: 'whole', status: 200, type, body: text };
  }),
];

const SNAPSHOT = '/snapshots/{database}/{collection}/{name}';

const namedSnapshot = ({ params }: Asked) =>
  snapshotAt(params['database'], params['collection'], params['name']);

const snapshotRoutes = (coordinator: AdminDoor): readonly Route[] => [
  read(
    '/snapshots',
    ['database', 'collection', 'limit', 'after'],
    'snapshots, oldest first; `next` is the `after` of the next page',
    ({ query }) => {
      const reports = coordinator.snapshotReports(
        parseOptionalName('database', query['database']),
        parseOptionalName('collection', query['collection']),
      );
      const { items, next } = pageOf(reports, ({ snapshotId }) => snapshotId, parsePage(query));
      return json({ snapshots: items, next });
    },
  ),
  read(SNAPSHOT, [], 'one snapshot: what it holds and what it costs', async (asked) =>
    json(await coordinator.snapshotReport(namedSnapshot(asked))),
  ),
  work(
    'POST',
    `${SNAPSHOT}/verify`,
    ['subset'],
    'reads every object, or subset=5% of them, and tells what is damaged; NDJSON, ends with kind `end`',
    (asked) => ({
      kind: 'lines',
      lines: coordinator.verifySnapshot(
        namedSnapshot(asked),
        parseSubset(asked.query['subset']),
        asked.signal,
      ),
    }),
  ),
  work(
    'GET',
    '/snapshot-diff',
    ['from', 'to'],
    'what differs between two snapshots, each DATABASE/COLLECTION/SNAPSHOT',
    async ({ query, signal }) =>
      json(
        await coordinator.diffSnapshots(
          parseSnapshot('from', query['from']),
          parseSnapshot('to', query['to']),
          signal,
        ),
      ),
  ),
  read('/pins', ['limit', 'after'], 'pins that hold snapshots; by id', ({ query }) => {
    const { items, next } = pageOf(coordinator.listPins(), ({ pinId }) => pinId, parsePage(query));
    return json({ pins: items, next });
  }),
];

const garbageRoutes = (coordinator: AdminDoor): readonly Route[] => [
  work(
    'GET',
    '/gc/plan',
    ['verdict'],
    'what a collection of garbage would do, object by object; verdict=delete or keep shows those only; NDJSON',
    ({ query, signal }) => {
      const verdict = parseOneOf('verdict', query['verdict'], ['delete', 'keep']);
      return { kind: 'lines', lines: only(coordinator.planGarbage(signal), verdict) };
    },
  ),
  work('POST', '/gc', [], 'collects garbage now', async ({ signal }) =>
    json(await coordinator.collectGarbage(signal)),
  ),
];

async function* only<T extends { readonly verdict: string }>(
  lines: AsyncIterable<T>,
  verdict: string | undefined,
): AsyncIterable<T> {
  for await (const line of lines) if (verdict === undefined || line.verdict === verdict) yield line;
}

const restoreStates: readonly RestoreState[] = ['pending', 'executing', 'completed', 'failed'];

/** What a restore is asked with: from a snapshot to a collection that does not exist yet. */
function parseRestore(query: Asked['query']): RestoreSnapshot {
  const { at, name } = parseSnapshot('from', query['from']);
  const partitions = parsePartitions(query['partitions']);
  const mode = parseOneOf('mode', query['mode'], ['shared', 'physical']);
  return {
    source: at,
    name,
    target: parseCollection('to', query['to']),
    ...(partitions === undefined ? {} : { partitions }),
    ...(mode === undefined ? {} : { mode }),
  };
}

async function startRestore(coordinator: AdminDoor, { query, signal }: Asked): Promise<Answer> {
  const request = parseRestore(query);
  if (parseOneOf('dryRun', query['dryRun'], ['true', 'false']) === 'true')
    return json(await coordinator.previewRestore(request, signal));
  return json(coordinator.restoreState(await coordinator.restoreSnapshot(request)));
}

const restoreRoutes = (coordinator: AdminDoor): readonly Route[] => [
  read(
    '/restore-jobs',
    ['database', 'collection', 'state', 'limit', 'after'],
    'restores by target, oldest first; `next` is the `after` of the next page',
    ({ query }) => {
      const state = parseOneOf('state', query['state'], restoreStates);
      const jobs = coordinator
        .listRestoreJobs(
          parseOptionalName('database', query['database']),
          parseOptionalName('collection', query['collection']),
        )
        .filter((job) => state === undefined || job.state === state);
      const { items, next } = pageOf(jobs, ({ jobId }) => jobId, parsePage(query));
      return json({ jobs: items, next });
    },
  ),
  work(
    'POST',
    '/restore',
    ['from', 'to', 'partitions', 'mode', 'dryRun'],
    'restores from=DATABASE/COLLECTION/SNAPSHOT to=DATABASE/COLLECTION and answers the job, which goes on by itself; partitions=a,b: only those; mode=physical: no shared files; dryRun=true: only tells what it would do',
    (asked) => startRestore(coordinator, asked),
  ),
  read('/restore-jobs/{id}', [], 'one restore', ({ params }) =>
    json(coordinator.restoreState(parseId<JobId>('job', params['id']))),
  ),
  work(
    'POST',
    '/restore-jobs/{id}/cancel',
    ['reason'],
    'ends a restore and removes its target; `cancelled` is false when it had ended already',
    async ({ params, query }) => {
      const jobId = parseId<JobId>('job', params['id']);
      const cancelled = await coordinator.cancelRestore(jobId, parseReason(query['reason']));
      return json({ cancelled, job: coordinator.restoreState(jobId) });
    },
  ),
];

const beyondRoutes = (coordinator: AdminDoor): readonly Route[] => [
  work(
    'POST',
    '/restore-in-place',
    ['snapshot', 'mode'],
    "restores DATABASE/COLLECTION/SNAPSHOT aside, then gives the copy the collection's name; mode=shared or physical; answers the job",
    async ({ query }) => {
      const snapshot = parseSnapshot('snapshot', query['snapshot']);
      const mode = parseOneOf('mode', query['mode'], ['shared', 'physical']);
      return json(coordinator.restoreState(await coordinator.restoreInPlace(snapshot, mode)));
    },
  ),
  settleRoute(coordinator, 'confirm', 'drops the old collection that a restore in place has kept'),
  settleRoute(coordinator, 'revert', 'gives the old collection its name back and drops the restored one'),
  work(
    'POST',
    '/restore-drill',
    ['snapshot'],
    'restores DATABASE/COLLECTION/SNAPSHOT aside, compares every row and drops the copy; answers the job, which tells the outcome',
    async ({ query }) => {
      const jobId = await coordinator.drillRestore(parseSnapshot('snapshot', query['snapshot']));
      return json(coordinator.restoreState(jobId));
    },
  ),
];

const settleRoute = (coordinator: AdminDoor, decision: 'confirm' | 'revert', help: string): Route =>
  work('POST', `/restore-jobs/{id}/${decision}`, [], help, async ({ params }) => {
    const jobId = parseId<JobId>('job', params['id']);
    await coordinator.settleSwap(jobId, decision);
    return json(coordinator.restoreState(jobId));
  });
