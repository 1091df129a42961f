/** What bugs planted on purpose are made of. The bugs themselves stand in plants-*.ts, all of them in plant-list.ts. */

import type { AnyTable } from '../../src/catalog/catalog.ts';
import { Catalog, type Change } from '../../src/catalog/catalog.ts';
import type { RestoreGate } from '../../src/coordinator/rooms.ts';
import type { DataNode, NodeOutput, NodeTaskReport, NodeWork } from '../../src/datanode/api.ts';
import { DbError } from '../../src/errors/db-error.ts';
import type { TaskId } from '../../src/model/ids.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import type { WritePart } from '../../src/streamingnode/api.ts';
import type { PropertyName } from './properties.ts';
import type { World } from './world.ts';

export interface Plant {
  readonly store?: (inner: ObjectStore) => ObjectStore;
  readonly gate?: (inner: RestoreGate) => RestoreGate;
  readonly node?: (inner: DataNode) => DataNode;
  /** Replaces a method of the product while the seed runs; answers how it is put back. */
  readonly patch?: (world: World) => () => void;
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
  sharing: () => inner.sharing(),
  capacity: () => inner.capacity(),
  delete: (key) => inner.delete(key),
  listTemporary: () => inner.listTemporary(),
  deleteTemporary: (name) => inner.deleteTemporary(name),
  close: () => inner.close(),
  ...other,
});

/** A method of a class replaced; answers how it is put back. */
export function patched<T extends object, K extends keyof T>(
  of: T,
  name: K,
  make: (was: T[K]) => T[K],
): () => void {
  const was = of[name];
  of[name] = make(was);
  return () => {
    of[name] = was;
  };
}

/** A bug that is one method of the product, replaced. */
export const method = <T extends object, K extends keyof T>(
  of: T,
  name: K,
  make: (was: T[K]) => T[K],
): Plant => ({
  patch: () => patched(of, name, make),
});

export const all =
  (...putBack: readonly (() => void)[]) =>
  (): void => {
    for (const one of putBack) one();
  };

/** A getter that answers an empty set. */
export function emptied<T extends object>(of: T, name: keyof T): () => void {
  const was = Object.getOwnPropertyDescriptor(of, name);
  if (was === undefined) throw new Error(`no getter ${String(name)}`);
  Object.defineProperty(of, name, { ...was, get: () => new Set() });
  return () => Object.defineProperty(of, name, was);
}

/** A data node that is given other work than was meant, and whose output is told otherwise. */
export function nodeWith(
  inner: DataNode,
  work: (meant: NodeWork) => NodeWork,
  told: (taskId: TaskId, output: NodeOutput) => NodeOutput = (_, output) => output,
): DataNode {
  const otherwise = (report: NodeTaskReport): NodeTaskReport =>
    report.state === 'completed' ? { ...report, output: told(report.taskId, report.output) } : report;
  return {
    nodeId: inner.nodeId,
    slots: inner.slots,
    create: (task) => inner.create({ ...task, work: work(task.work) }),
    query: async (taskId, attempt) => otherwise(await inner.query(taskId, attempt)),
    drop: (taskId, attempt) => inner.drop(taskId, attempt),
    onReport: (listener) => inner.onReport((report) => listener(otherwise(report))),
    close: () => inner.close(),
  };
}

/** A bug and the check that has to turn red by it. */
export interface Planted {
  readonly name: string;
  /** Properties that may notice it. */
  readonly by: readonly (PropertyName | 'broken')[];
  /** What the check that is meant says. */
  readonly says: RegExp;
  /** As a sentence goes on: "… notices that …". */
  readonly what: string;
  readonly make: () => Plant;
  /** It shows itself soon: it is tried with every `npm test`. */
  readonly isCheap?: true;
  /** The seed that showed it last is tried first: it saves time, as long as it is so. */
  readonly from?: number;
}

/** Commits of the catalog that are not what was decided. */
export const commits = (
  change: (changes: readonly Change[], catalog: Catalog) => readonly Change[],
): Plant => ({
  patch: () =>
    patched(
      Catalog.prototype,
      'commit',
      (was) =>
        function (this: Catalog, changes: readonly Change[]) {
          return was.call(this, change(changes, this));
        },
    ),
});

/** A commit is followed by another that nobody decided. */
export const afterCommits = (
  more: (changes: readonly Change[], catalog: Catalog) => readonly Change[],
): Plant => ({
  patch: () =>
    patched(
      Catalog.prototype,
      'commit',
      (was) =>
        async function (this: Catalog, changes: readonly Change[]) {
          const outcome = await was.call(this, changes);
          const others = outcome === 'committed' ? more(changes, this) : [];
          if (others.length > 0) await was.call(this, others);
          return outcome;
        },
    ),
});

type RecordOf<T> = T extends { readonly idOf: (record: infer R) => unknown } ? R : never;

/** What a commit does to the records of one table. */
export const of = <T extends AnyTable>(
  changes: readonly Change[],
  table: T,
): readonly { readonly was: RecordOf<T> | undefined; readonly is: RecordOf<T> | undefined }[] =>
  changes.filter((change) => change.table === table) as never;

/** The commit with some records put otherwise. */
export const rewritten = <T extends AnyTable>(
  changes: readonly Change[],
  table: T,
  change: (is: RecordOf<T>, was: RecordOf<T> | undefined) => RecordOf<T>,
): readonly Change[] =>
  changes.map((each) =>
    each.table === table && each.is !== undefined
      ? { ...each, is: change(each.is as RecordOf<T>, each.was as RecordOf<T> | undefined) as object }
      : each,
  );

/** The commit without some of its changes. */
export const without = <T extends AnyTable>(
  changes: readonly Change[],
  table: T,
  isMeant: (is: RecordOf<T> | undefined, was: RecordOf<T> | undefined) => boolean,
): readonly Change[] =>
  changes.filter(
    (each) =>
      each.table !== table ||
      !isMeant(each.is as RecordOf<T> | undefined, each.was as RecordOf<T> | undefined),
  );

/** Faults are gone for good. */
export const isHealed = ({ trace }: World): boolean => trace.some((line) => line.endsWith(' heal'));
/** The first moment of a life. */
export const isJustUp = ({ trace }: World): boolean => / up +after \d+$/.test(trace.at(-1) ?? '');
export const failing = (): never => {
  throw new DbError('storage-failed', 'the planted bug says no');
};
