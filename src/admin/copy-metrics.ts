/** Metrics of restores and of the scheduler they share with other work. */
import type { Metric, Registry } from 'prom-client';
import type { CopySegmentStats } from '../coordinator/api.ts';
import type { HistogramCounts } from '../support/histogram.ts';

type Stats = () => CopySegmentStats;

const SECOND_MS = 1000;

export async function copySegmentMetrics(registry: Registry, stats: Stats): Promise<void> {
  await gauges(registry, stats);
  latencies(
    registry,
    'job',
    'How long restore jobs stood in a stage: pending, executing, total',
    () => stats().latencies.job,
  );
  latencies(
    registry,
    'task',
    'How long attempts of copy tasks stood in a stage: pending (queued), executing (on a node), settled (being stored)',
    () => stats().latencies.task,
  );
}

async function gauges(registry: Registry, stats: Stats): Promise<void> {
  const { Gauge } = await import('prom-client');
  const registers = [registry];
  const byLabel = (
    name: string,
    help: string,
    label: string,
    values: () => Iterable<readonly [string, number]>,
  ) =>
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [is, value] of values()) this.set({ [label]: is }, value);
      },
    });
  byLabel('tidemark_copy_segment_jobs', 'Restore jobs by state', 'state', () => Object.entries(stats().jobs));
  byLabel('tidemark_copy_segment_tasks', 'Copy tasks of all jobs by state', 'state', () =>
    Object.entries(stats().tasks),
  );
  byLabel(
    'tidemark_scheduler_waiting_tasks',
    'Tasks that wait for a data node, by class; of a large restore only the next ones',
    'class',
    () => Object.entries(stats().scheduler.waiting),
  );
  const ofNodes = (value: (node: CopySegmentStats['scheduler']['nodes'][number]) => number) => () =>
    stats().scheduler.nodes.map((node) => [`${node.nodeId}`, value(node)] as const);
  byLabel(
    'tidemark_scheduler_node_slots',
    'Slots of a data node',
    'node',
    ofNodes(({ slots }) => slots),
  );
  byLabel(
    'tidemark_scheduler_node_slots_used',
    'Slots of a data node in use',
    'node',
    ofNodes(({ usedSlots }) => usedSlots),
  );
  byLabel(
    'tidemark_scheduler_node_slots_used_by_restores',
    'Slots of a data node in use by restores',
    'node',
    ofNodes(({ restoreSlots }) => restoreSlots),
  );
}

/** Counted by the coordinator since its start: a scrape only writes it out. A `Histogram` of the library would have to be told each time again. */
function latencies(
  registry: Registry,
  of: 'job' | 'task',
  help: string,
  read: () => Readonly<Record<string, HistogramCounts>>,
): void {
  const name = `tidemark_copy_segment_${of}_latency_seconds`;
  const counted = {
    name,
    get: () =>
      Promise.resolve({
        ...{ name, help, type: 'histogram', aggregator: 'sum' },
        values: Object.entries(read()).flatMap(([stage, counts]) => lines(name, stage, counts)),
      }),
  };
  registry.registerMetric(counted as unknown as Metric);
}

/** As Prometheus wants it: buckets add up, the last one holds all. */
function lines(name: string, stage: string, { boundsMs, counts, sumMs }: HistogramCounts) {
  let below = 0;
  const buckets = counts.map((count, at) => {
    below += count;
    const bound = boundsMs[at];
    const le = bound === undefined ? '+Inf' : bound / SECOND_MS;
    return { metricName: `${name}_bucket`, labels: { le, stage }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: { stage }, value: sumMs / SECOND_MS },
    { metricName: `${name}_count`, labels: { stage }, value: below },
  ];
}
