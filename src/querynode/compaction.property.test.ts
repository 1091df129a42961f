import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compactions, EncodedFiles } from '../../tests/compaction-world.ts';
import {
  collectionId,
  deleteParts,
  insertParts,
  PK,
  PlainEngine,
  PlainLog,
  partitions,
  plainFilters,
  plainOf,
  plainRows,
  type Row,
  schemaOf,
  TAG,
  VECTOR,
  viewOf,
} from '../../tests/query-world.ts';
import { floatQueries } from '../../tests/vectors.ts';
import type { HybridTime } from '../model/hybrid-time.ts';
import { ALL_PARTITIONS, type PartitionId } from '../model/ids.ts';
import { systemClock } from '../support/system-clock.ts';
import type { SliceLimits } from './pacer.ts';
import { LocalQueryNode } from './querynode.ts';

type KeyType = 'Int64' | 'VarChar';

type Step =
  | { readonly kind: 'upsert' | 'delete'; readonly partition: number; readonly keys: readonly number[] }
  | { readonly kind: 'flush' | 'compact' | 'merge-deletes'; readonly choice: number; readonly view: ViewOf }
  | { readonly kind: 'commit' | 'retire'; readonly view: ViewOf }
  | { readonly kind: 'release-log' | 'reload' | 'pause' };

/** Whether readers hear of a commit at once, and whether the next step waits for them; `later`: with the next commit. */
type ViewOf = 'awaited' | 'sent' | 'later';

const keys = fc.uniqueArray(fc.nat(24), { minLength: 1, maxLength: 6 });
const view = fc.constantFrom<ViewOf>('awaited', 'sent', 'sent', 'later');
const choice = fc.nat(11);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('upsert' as const), partition: fc.nat(1), keys }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete' as const), partition: fc.nat(2), keys }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('flush' as const), choice, view }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('compact' as const), choice, view }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('merge-deletes' as const), choice, view }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('commit' as const, 'retire' as const), view }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('release-log' as const, 'reload' as const, 'pause' as const),
    }),
  },
);

interface Known extends Row {
  readonly partitionId: PartitionId;
}

class World {
  readonly type: KeyType;
  readonly log = new PlainLog();
  readonly engine = new PlainEngine();
  readonly model = new Map<string, Known>();
  readonly files: EncodedFiles;
  readonly catalog: Compactions;
  readonly node: LocalQueryNode;
  #running: Promise<unknown>[] = [];
  #tag = 0;
  /** What a reader has seen who comes back for the same rows. */
  #firstPage: Promise<{ readonly ts: HybridTime; readonly rows: unknown }> | undefined;
  #reads = 0;

  constructor(type: KeyType, slices: Partial<SliceLimits>) {
    this.type = type;
    this.files = new EncodedFiles(type, schemaOf(type));
    this.catalog = new Compactions(this.log, this.files);
    this.node = new LocalQueryNode({
      streamingNode: this.log.node(),
      files: this.files,
      engine: this.engine,
      filters: plainFilters,
      clock: systemClock,
      slices,
    });
  }

  view() {
    return viewOf(schemaOf(this.type), this.catalog.records, partitions, this.log.unflushed);
  }

  async run(next: Step): Promise<void> {
    switch (next.kind) {
      case 'upsert':
        return this.#upsert(partitions[next.partition]!, next.keys);
      case 'delete':
        return this.#delete(partitions[next.partition] ?? ALL_PARTITIONS, next.keys);
      case 'flush':
        return this.#show(await this.catalog.flush(next.choice), next.view);
      case 'compact':
        return this.#show(await this.catalog.compact(next.choice, next.choice % 3 > 0), next.view);
      case 'merge-deletes':
        return this.#show(await this.catalog.mergeDeletes(next.choice), next.view);
      case 'commit':
        return this.#show(this.catalog.commit(), next.view);
      case 'retire':
        return this.#show(await this.catalog.retire(), next.view);
      case 'release-log':
        return this.#releaseLog();
      case 'reload':
        return this.#reload();
      case 'pause':
        return new Promise((resolve) => {
          setImmediate(resolve);
        });
    }
  }

  /** A reader takes what it reads when it begins, however long it takes; one that has to wait for a load, later. */
  async read(): Promise<void> {
    if (this.node.progress(collectionId) !== 100) return;
    const rows = [...this.model.values()].sort((a, b) => a.tag - b.tag);
    const checks = [this.#check(rows), this.#comeBack()];
    // What one finds is told when all have ended.
    for (const each of checks) each.catch(() => undefined);
    this.#running.push(...checks);
    // Reads take their rows some microtasks after the call.
    for (let i = 0; i < 8; i++) await Promise.resolve();
  }

  /** A reader of an earlier moment sees its rows again, each once, whatever has been deleted, flushed and compacted since. */
  async #comeBack(): Promise<void> {
    const page = async (asOf: HybridTime | 'now') => {
      const found = await this.node.query({ collectionId, outputFields: [PK, TAG], asOf });
      return { ts: found.readTs, rows: plainRows(found) };
    };
    if (this.#reads++ % 12 === 0 || this.#firstPage === undefined) {
      this.#firstPage = page('now');
      await this.#firstPage;
      return;
    }
    const { ts, rows } = await this.#firstPage;
    assert.deepEqual((await page(ts)).rows, rows, 'the rows of the first page');
  }

  async #check(rows: readonly Known[]): Promise<void> {
    const plain = (all: readonly Row[]) =>
      all.map((row) => plainOf(this.type, row)).map((row) => ({ [PK]: row[PK], [TAG]: row[TAG] }));
    const [count, all, ...found] = await Promise.all([
      this.node.count({ collectionId }),
      this.node.search({
        collectionId,
        fieldId: VECTOR,
        queries: floatQueries(3, [-1000, 0, 1]),
        queryCount: 1,
        topK: 100,
        offset: 0,
        metric: 'L2',
        outputFields: [PK, TAG],
      }),
      ...partitions.map((partitionId) =>
        this.node
          .query({ collectionId, partitionIds: [partitionId], outputFields: [PK, TAG] })
          .then(plainRows),
      ),
    ]);
    assert.equal(count, rows.length, 'rows are there once');
    const newest = new Map(rows.map((row) => [row.key, row]));
    assert.equal(all.counts[0], newest.size);
    assert.deepEqual(
      found,
      partitions.map((id) =>
        plain(rows.filter(({ partitionId }) => partitionId === id).sort((a, b) => a.key - b.key)),
      ),
    );
  }

  #upsert(partitionId: PartitionId, wanted: readonly number[]): void {
    const rows = wanted.map((key) => ({ key, tag: this.#tag++ }));
    this.log.write([
      ...deleteParts(this.type, partitionId, wanted),
      ...insertParts(this.type, partitionId, rows),
    ]);
    for (const row of rows) this.model.set(`${partitionId}/${row.key}`, { ...row, partitionId });
  }

  #delete(scope: PartitionId, wanted: readonly number[]): void {
    this.log.write(deleteParts(this.type, scope, wanted));
    for (const key of wanted)
      for (const partitionId of partitions)
        if (scope === ALL_PARTITIONS || scope === partitionId) this.model.delete(`${partitionId}/${key}`);
  }

  async #show(isChanged: boolean, how: ViewOf): Promise<void> {
    if (!isChanged || how === 'later') return;
    const updated = this.node.update(this.view());
    if (how === 'awaited') await updated;
    else this.#running.push(updated);
  }

  /** As the flusher does it: what is flushed is forgotten once readers use its files. */
  async #releaseLog(): Promise<void> {
    const flushed = [...this.log.held.keys()].filter((id) => !this.log.unflushed.includes(id));
    await this.node.update(this.view());
    for (const segmentId of flushed) this.log.release(segmentId);
  }

  async #reload(): Promise<void> {
    await this.settle();
    this.#firstPage = undefined;
    await this.node.release(collectionId);
    assert.equal(this.engine.blocks, 0, 'a released collection holds no memory');
    this.#running.push(this.node.load(this.view()));
  }

  async settle(): Promise<void> {
    while (this.#running.length > 0) await Promise.all(this.#running.splice(0));
  }

  /** Everything is flushed and compacted until no delete has anything left to kill. */
  async end(): Promise<void> {
    await this.settle();
    while (await this.catalog.flush(0)) await this.read();
    while (this.catalog.commit()) await this.node.update(this.view());
    await this.read();
    await this.settle();
    await this.#compactAll();
    await this.catalog.retire();
    assert.ok(this.catalog.records.every(({ level }) => level === 'L1'));
    await this.node.update(this.view());
    await this.read();
    // Pruning follows the view; a view after it waits for it.
    await this.node.update(this.view());
    await this.settle();
    assert.equal(this.node.deleteCount, 0, 'no delete is kept in memory that nothing needs');
    await this.#reload();
    await this.settle();
    await this.read();
    await this.settle();
    await this.node.close();
    assert.equal(this.engine.blocks, 0);
  }

  async #compactAll(): Promise<void> {
    const count = this.catalog.records.filter(({ level }) => level === 'L1').length;
    // A segment that was compacted goes to the end of the list.
    for (let i = 0; i < 4 * count; i++) await this.catalog.compact(0, true);
  }
}

const smallSlices: SliceLimits = {
  turnUnits: 30,
  lookupsAtOnce: 3,
  insertBytes: 100,
  insertRows: 2,
  deleteKeys: 2,
  prepareRows: 2,
};

/** A delete that is taken over in slices while its rows are handed over: the unit that goes has not met it yet. */
const deleteDuringHandover: Step[] = [
  { kind: 'upsert', partition: 1, keys: [0] },
  { kind: 'flush', choice: 0, view: 'awaited' },
  { kind: 'flush', choice: 0, view: 'awaited' },
  { kind: 'compact', choice: 4, view: 'sent' },
  { kind: 'upsert', partition: 1, keys: [8, 0, 2, 4] },
  { kind: 'commit', view: 'awaited' },
  { kind: 'compact', choice: 0, view: 'awaited' },
  { kind: 'delete', partition: 0, keys: [0] },
  { kind: 'compact', choice: 0, view: 'awaited' },
  { kind: 'delete', partition: 0, keys: [0] },
];

for (const [type, slices, how] of [
  ['Int64', {}, 'at once'],
  ['VarChar', {}, 'at once'],
  ['Int64', smallSlices, 'in slices'],
  ['VarChar', smallSlices, 'in slices'],
] as const)
  test(`a reader sees each row of ${type} keys, taken over ${how}, exactly once, however segments are compacted and delete segments merged and retired meanwhile`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }), async (steps) => {
        const world = new World(type, slices);
        await world.node.load(world.view());
        for (const each of steps) {
          await world.run(each);
          await world.read();
        }
        await world.end();
      }),
      { seed: 20260731, numRuns: 30, examples: [[deleteDuringHandover]] },
    );
  });
