import type { Registry } from 'prom-client';
import type { GarbageResult } from '../coordinator/admin-api.ts';
import type { CompactionStats } from '../coordinator/api.ts';
import { copySegmentMetrics } from './copy-metrics.ts';
import type { AdminDoor } from './routes.ts';

/** The text of /metrics. Gauges are read from the catalog when they are asked for: nothing is counted twice. */
export class Metrics {
  readonly #coordinator: AdminDoor;
  #registry: Promise<Registry> | undefined;

  constructor(coordinator: AdminDoor) {
    this.#coordinator = coordinator;
  }

  async text(): Promise<{ readonly type: string; readonly text: string }> {
    // Built at the first scrape: a server that nobody scrapes does not pay for it.
    this.#registry ??= this.#build();
    const registry = await this.#registry;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  async #build(): Promise<Registry> {
    const { Gauge, Registry, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    collectDefaultMetrics({ register: registry, prefix: 'tidemark_', eventLoopMonitoringPrecision: 10 });
    const coordinator = this.#coordinator;
    const gauge = (name: string, help: string, value: () => number): void => {
      new Gauge({
        name: `tidemark_${name}`,
        help,
        registers: [registry],
        collect() {
          this.set(value());
        },
      });
    };
    await copySegmentMetrics(registry, () => coordinator.copySegmentStats());
    gauge('databases', 'Databases', () => coordinator.listDatabases().length);
    gauge('collections', 'Collections', () =>
      coordinator
        .listDatabases()
        .reduce((sum, { name }) => sum + coordinator.listCollections(name).length, 0),
    );
    gauge('snapshots', 'Snapshots', () => coordinator.snapshotStats().snapshots);
    gauge(
      'snapshots_damaged',
      'Snapshots whose objects are known to be wrong',
      () => coordinator.snapshotReports('', '').filter(({ damage }) => damage !== undefined).length,
    );
    gauge('snapshot_pins', 'Pins that have not ended', () => coordinator.snapshotStats().pins);
    gauge(
      'snapshot_references_not_loaded',
      'Snapshots whose references are not loaded: everything of their collections is kept',
      () => coordinator.snapshotStats().referencesNotLoaded,
    );
    const compaction = (name: string, help: string, value: keyof CompactionStats) =>
      gauge(`compaction_${name}`, help, () => coordinator.compactionStats()[value]);
    compaction('plans_running', 'Compaction plans under way', 'running');
    compaction('plans_completed', 'Compaction plans that have ended well since the start', 'completed');
    compaction('plans_failed', 'Compaction plans that have failed since the start', 'failed');
    compaction('rows_removed', 'Deleted rows that compaction has removed since the start', 'rowsRemoved');
    const garbage = (name: string, help: string, value: keyof GarbageResult | 'endedAtMs', unit = 1) =>
      gauge(`garbage_${name}`, help, () => (coordinator.lastCollection()?.[value] ?? 0) / unit);
    garbage(
      'last_pass_timestamp_seconds',
      'When the last collection of garbage ended well',
      'endedAtMs',
      1000,
    );
    garbage('last_pass_deleted_objects', 'Objects the last collection deleted', 'deletedObjects');
    garbage('last_pass_deleted_bytes', 'Bytes the last collection deleted', 'deletedBytes');
    garbage('last_pass_kept_objects', 'Objects the last collection kept', 'keptObjects');
    garbage('last_pass_kept_bytes', 'Bytes the last collection kept', 'keptBytes');
    gauge('troubles', 'What health names', () => coordinator.health().reasons.length);
    gauge('healthy', '1 when the server is healthy', () => (coordinator.health().isHealthy ? 1 : 0));
    return registry;
  }
}
