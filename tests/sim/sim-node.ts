/** The process of a data node, on a machine of its own: it outlives coordinators, and dies without them. */
import { compactDeletesExecutor, compactExecutor } from '../../src/datanode/compact/executor.ts';
import { Bandwidth } from '../../src/datanode/copy-segment/bandwidth.ts';
import { copySegmentExecutor } from '../../src/datanode/copy-segment/executor.ts';
import { LocalDataNode } from '../../src/datanode/datanode.ts';
import { flushExecutor } from '../../src/datanode/flush/executor.ts';
import { indexBuildContext } from '../../src/datanode/indexbuild/context.ts';
import { indexBuildExecutor } from '../../src/datanode/indexbuild/executor.ts';
import { indexBuildTasks } from '../../src/datanode/indexbuild/task.ts';
import type { NodeId } from '../../src/model/ids.ts';
import { compactTasks } from '../../src/segment/compact.ts';
import { flushTasks } from '../../src/segment/flush.ts';
import type { ObjectStore } from '../../src/storage/object-store.ts';
import { inlineWorkers } from '../../src/support/inline-workers.ts';
import type { Log } from '../../src/support/log.ts';
import type { Random } from '../../src/support/random.ts';
import type { Wal } from '../../src/wal/wal.ts';
import type { FaultKind } from './fault-kinds.ts';
import { type Call, type Chances, type Fault, Faults } from './faults.ts';
import { FaultyNode } from './faulty-node.ts';
import { FaultyStore, type FaultyStoreOptions } from './faulty-store.ts';
import type { JobWatch } from './job-watch.ts';
import type { Plan } from './life.ts';
import { type Plant, storeWith } from './plants.ts';
import type { LifeClock, SimClock } from './sim-clock.ts';

export interface SimNodeOptions {
  readonly nodeId: NodeId;
  readonly slots: number;
  /** Its calls to storage take so many times as long as those of others. */
  readonly slowness: number;
  readonly filesAtOnce: number;
  /** As it is on the disk, whoever writes it now. */
  readonly readLog: Pick<Wal, 'read'>;
  readonly store: ObjectStore;
  readonly leaveHalf: FaultyStoreOptions['leaveHalf'];
  readonly clock: SimClock;
  readonly random: Random;
  readonly plant: Plant;
  readonly log: Log;
  readonly watch: (look: (jobs: JobWatch) => void) => void;
  /** A fault that fails nobody's call is one that `count` is not told of. */
  readonly tell: (kind: FaultKind, call?: Call) => void;
  /** Its port `nodeN` or `nodeN.store` was told to crash. */
  readonly onStrike: (port: string, node: SimNode) => void;
  /** Faults by name of the port and of the call. */
  readonly plan: Plan | undefined;
  readonly copyBytesPerSecond: number | undefined;
}

/** Chances of calls and messages of a node. */
export interface NodeChances {
  readonly calls: Chances;
  readonly isSlow: boolean;
  /** The network is in order. */
  readonly isQuiet: boolean;
}

/** A network is never in order; that fails nobody's call. */
const NOISE = 0.06;

const storeKinds: Readonly<Record<Fault['kind'], FaultKind>> = {
  'error-before': 'node.store error-before',
  'error-after': 'node.store error-after',
  torn: 'node.store put-torn',
  delay: 'node.store slow',
  crash: 'node.store crash',
};

const networkKinds: Readonly<Record<Fault['kind'], FaultKind>> = {
  'error-before': 'command lost',
  'error-after': 'command answer-lost',
  torn: 'command lost',
  delay: 'command slow',
  crash: 'command lost',
};

const isRead = (name: string) => name === 'get' || name === 'getRange';

function storeKind({ fault, name }: Call): FaultKind {
  if (fault?.kind === 'error-before' && fault.code === 'storage-full') return 'node.store full';
  if (fault?.kind === 'torn' && name === 'copy') return 'node.store copy-torn';
  if (fault?.kind === 'torn' && isRead(name)) return 'node.store read-short';
  if (fault?.kind === 'torn' && name !== 'put') return 'node.store error-before';
  return storeKinds[fault?.kind ?? 'delay'];
}

/** Bytes that are moved wait for the node's bandwidth, as a local store's do. */
const paced = (inner: ObjectStore): ObjectStore =>
  storeWith(inner, {
    copy: async (from, to, options) => {
      if (options.mode === 'physical') await options.pace?.take(options.sizeBytes);
      return inner.copy(from, to, options);
    },
  });

export class SimNode {
  readonly nodeId: NodeId;
  readonly network: FaultyNode;
  readonly store: FaultyStore;
  readonly #options: SimNodeOptions;
  readonly #clock: LifeClock;
  readonly #calls: Faults;
  isDead = false;

  constructor(options: SimNodeOptions) {
    const { nodeId, clock, random, plant, tell, watch } = options;
    this.nodeId = nodeId;
    this.#options = options;
    this.#clock = clock.life();
    this.store = new FaultyStore(options.store, {
      ...this.#port(`node${nodeId}.store`),
      leaveHalf: options.leaveHalf,
      clock: this.#clock,
      random,
      onFault: (call) => tell(storeKind(call), call),
    });
    this.store.onCopied = (key, isTorn) => watch((jobs) => jobs.copied(key, isTorn));
    const inner = this.#process();
    inner.onReport((report) => watch((jobs) => jobs.reported(report)));
    this.#calls = new Faults({
      ...this.#port(`node${nodeId}`),
      // The network's, not the machine's: what is under way arrives.
      clock,
      random,
      onFault: (call) => tell(networkKinds[call.fault?.kind ?? 'delay'], call),
    });
    const parts = { clock, random, faults: this.#calls, tell };
    this.network = new FaultyNode(plant.node?.(inner) ?? inner, parts);
  }

  #port(name: string) {
    const { plan, onStrike } = this.#options;
    const planned = plan === undefined ? {} : { plan: (call: string, key: string) => plan(name, call, key) };
    return { onCrash: () => onStrike(name, this), ...planned };
  }

  #process(): LocalDataNode {
    const { nodeId, slots, filesAtOnce, copyBytesPerSecond, log, readLog: wal } = this.#options;
    const bandwidth =
      copyBytesPerSecond === undefined ? {} : { bandwidth: new Bandwidth(copyBytesPerSecond, this.#clock) };
    const { store } = this;
    const workers = inlineWorkers({
      ...flushTasks({ store, wal }),
      ...compactTasks({ store }),
      ...indexBuildTasks(indexBuildContext(store)),
    });
    return new LocalDataNode({
      nodeId,
      slots,
      log,
      executors: {
        flush: flushExecutor(workers),
        compact: compactExecutor(workers),
        'compact-deletes': compactDeletesExecutor(workers),
        'build-index': indexBuildExecutor(workers),
        'copy-segment': copySegmentExecutor(paced(store), { filesAtOnce, ...bandwidth }),
      },
    });
  }

  setChances({ calls, isSlow, isQuiet }: NodeChances): void {
    const { errorBefore = 0, delay = 0, maxDelayMs = 0 } = calls;
    const { slowness } = this.#options;
    this.#calls.setChances({ ...calls, torn: 0, full: 0 });
    this.store.faults.setChances(
      isSlow
        ? { ...calls, delay: 0.8, maxDelayMs: 500 * slowness }
        : { ...calls, delay: Math.min(0.8, delay * slowness), maxDelayMs: maxDelayMs * slowness },
    );
    const noise = isQuiet ? 0 : NOISE;
    this.network.chances = {
      lost: errorBefore,
      late: Math.max(noise, errorBefore),
      repeated: Math.max(noise, errorBefore),
      stale: 3 * noise,
      lateCommand: errorBefore / 3,
    };
  }

  /** It does nothing until what is answered is called. */
  hold(): () => void {
    return this.store.faults.hold();
  }

  /** It dies at one of the next calls to storage. */
  dieSoon(withinCalls: number, hasEffect: boolean): void {
    const { faults } = this.store;
    const at = faults.calls.length + 1 + this.#options.random.below(withinCalls);
    faults.at(at, { kind: 'crash', hasEffect });
  }

  /** Nothing of it goes on, nobody is told. */
  die(): void {
    this.isDead = true;
    this.network.die();
    this.store.faults.crash();
    this.#clock.end();
  }
}
