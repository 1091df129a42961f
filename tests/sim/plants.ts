/** Bugs planted on purpose, one or more for each property: a check that stays green over its plant checks nothing. */
import type { RestoreGate } from '../../src/coordinator/rooms.ts';
import type { DataNode } from '../../src/datanode/api.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import type { WritePart } from '../../src/streamingnode/api.ts';
import type { World } from './world.ts';

export interface Plant {
  readonly store?: (inner: ObjectStore) => ObjectStore;
  readonly gate?: (inner: RestoreGate) => RestoreGate;
  readonly node?: (inner: DataNode) => DataNode;
  /** What becomes of a write between its acknowledgement and the log. */
  readonly write?: (parts: readonly WritePart[]) => readonly WritePart[];
  /** Runs with every collection of garbage, and after every change of a definition. */
  readonly gc?: (world: World) => Promise<void>;
}

/** An object store with some methods replaced. */
export const storeWith = (inner: ObjectStore, other: Partial<ObjectStore>): ObjectStore => ({
  location: undefined,
  put: (key, bytes) => inner.put(key, bytes),
  get: (key) => inner.get(key),
  getRange: (key, offset, length) => inner.getRange(key, offset, length),
  stat: (key) => inner.stat(key),
  list: (prefix) => inner.list(prefix),
  copy: (from, to, options) => inner.copy(from, to, options),
  delete: (key) => inner.delete(key),
  listTemporary: () => inner.listTemporary(),
  deleteTemporary: (name) => inner.deleteTemporary(name),
  close: () => inner.close(),
  ...other,
});

export const plants = {
  /** exact: the last row of an insert now and then does not arrive. */
  lostRow(): Plant {
    let writes = 0;
    return {
      write: (parts) => (++writes % 5 === 0 ? parts.slice(0, -1) : parts),
    };
  },
  /** exact: deletes do not reach the log. */
  lostDelete: (): Plant => ({ write: (parts) => parts.filter(({ kind }) => kind === 'insert') }),
  /** whole: targets are shown before their job is completed. */
  earlyGate: (): Plant => ({ gate: (inner) => ({ ...inner, isCompleted: () => true }) }),
  /** kept: a copy says it is done and is not. */
  droppedCopy: (): Plant => ({
    store: (inner) =>
      storeWith(inner, {
        copy: async (from, to, options) => {
          const result = await inner.copy(from, to, options);
          if (to.endsWith('rows.parquet')) await inner.delete(to);
          return result;
        },
      }),
  }),
  /** kept: what is dropped goes, whatever a snapshot says. */
  blindCollector: (): Plant => ({
    async gc(world) {
      for (const { files } of world.droppedSegments())
        for (const { key } of files) await world.disks.store.delete(key);
    },
  }),
  /** ends: copies are taken and never finished. */
  endlessCopy: (): Plant => ({
    node: (inner) => ({
      nodeId: inner.nodeId,
      slots: inner.slots,
      create: (task) => (task.work.kind === 'copy-segment' ? Promise.resolve() : inner.create(task)),
      query: async (taskId, attempt) => {
        const report = await inner.query(taskId, attempt);
        return report.state === 'unknown' ? { ...report, state: 'in-progress' } : report;
      },
      drop: (taskId, attempt) => inner.drop(taskId, attempt),
      onReport: (listener) => inner.onReport(listener),
      close: () => inner.close(),
    }),
  }),
  /** clean: an object is not deleted. */
  stickyObject: (): Plant => ({
    store: (inner) =>
      storeWith(inner, {
        delete: (key) => (key.endsWith('stats.bin') ? Promise.resolve() : inner.delete(key)),
      }),
  }),
} as const;
