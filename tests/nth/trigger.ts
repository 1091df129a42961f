/** Counts the calls of every port while a window is open, and makes one of them fail: the n-th of its port, in one flavour. */
import type { NodeId } from '../../src/model/ids.ts';
import type { Fault } from '../sim/faults.ts';
import type { Life, Plan } from '../sim/life.ts';

/** `store`: of the coordinator and of readers. `node`: what the coordinator asks of data nodes. */
export const ports = ['catalog', 'store', 'node-store', 'log', 'node'] as const;
export type Port = (typeof ports)[number];

const everywhere = ['error-before', 'error-after', 'crash-before', 'crash-after'] as const;
/** `lost`: the data node dies, the coordinator lives on. */
const ofNodes = ['lost-before', 'lost-after'] as const;
export type Flavour = (typeof everywhere)[number] | (typeof ofNodes)[number];
export const flavoursOf = (port: Port): readonly Flavour[] =>
  port === 'node' || port === 'node-store' ? [...everywhere, ...ofNodes] : everywhere;

export interface Aim {
  readonly port: Port;
  readonly at: number;
  readonly flavour: Flavour;
}

/** How long a lost node is away. */
const AWAY_MS = 5000;

export class Trigger {
  readonly #aim: Aim | undefined;
  readonly #counts = new Map<Port, number>();
  /** What was called while the window was open: port, call, key. */
  readonly calls: string[] = [];
  #isOpen: () => boolean = () => false;
  #strikeAt: RegExp | undefined;
  /** The planned crash before the one that is tried out has come. */
  hasStruck = false;
  /** The call that was made to fail. */
  hit: string | undefined;
  life: () => Life = () => {
    throw new Error('nothing runs');
  };

  constructor(aim?: Aim) {
    this.#aim = aim;
  }

  /** Calls count from now on, as long as `during` says so. */
  open(during: () => boolean): void {
    this.#isOpen = during;
  }

  close(): void {
    this.#isOpen = () => false;
  }

  count(port: Port): number {
    return this.#counts.get(port) ?? 0;
  }

  /** The process dies after the first call like this. */
  strike(call: RegExp): void {
    this.#strikeAt = call;
  }

  readonly plan: Plan = (of, name, key) => {
    const port = portOf(of);
    const call = `${port} ${name} ${key}`;
    if (this.#strikeAt?.test(call)) {
      this.#strikeAt = undefined;
      this.hasStruck = true;
      return { kind: 'crash', hasEffect: true };
    }
    if (!this.#isOpen()) return undefined;
    const number = this.count(port) + 1;
    this.#counts.set(port, number);
    this.calls.push(call);
    if (this.#aim === undefined || this.hit !== undefined) return undefined;
    if (this.#aim.port !== port || this.#aim.at !== number) return undefined;
    this.hit = call;
    return this.#fault(of, this.#aim.flavour);
  };

  /** A port was told to crash. False: the whole process dies with it. */
  readonly onStrike = (of: string, life: Life): boolean => {
    if (this.hit === undefined || !this.#aim?.flavour.startsWith('lost')) return false;
    this.#lose(of, life);
    return true;
  };

  #fault(of: string, flavour: Flavour): Fault {
    const hasEffect = flavour.endsWith('after');
    if (flavour.startsWith('error')) return { kind: hasEffect ? 'error-after' : 'error-before' };
    if (flavour.startsWith('crash') || of.endsWith('.store')) return { kind: 'crash', hasEffect };
    // Whoever has asked a node that is gone is told so.
    const lose = () => this.#lose(of, this.life());
    if (hasEffect) return { kind: 'error-after', and: lose };
    lose();
    return { kind: 'error-before' };
  }

  /** Another node takes its place some time later, with an empty memory. */
  #lose(of: string, life: Life): void {
    const nodeId = BigInt(/^node(\d+)/.exec(of)?.[1] ?? 0) as NodeId;
    life.loseNode(nodeId);
    const later = life.clock.sleep(AWAY_MS, new AbortController().signal);
    void later.then(() => life.addNode(nodeId));
  }
}

function portOf(of: string): Port {
  if (of === 'kv') return 'catalog';
  if (of.endsWith('.store')) return 'node-store';
  return of.startsWith('node') ? 'node' : (of as Port);
}
