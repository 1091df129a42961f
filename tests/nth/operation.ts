/** What one operation of the n-th-call loops is. */
import type { Shape } from '../sim/shape.ts';
import type { Stage } from './stage.ts';

/** Made anew for each case: what it remembers is of this case. */
export interface Script {
  /** Without faults. */
  readonly prepare: () => Promise<void>;
  /** Calls of ports count while it runs. Whatever its answers are, the model knows them when it ends. */
  readonly run: () => Promise<void>;
  /** With the fault over: what must hold after success, and after failure; and what failed succeeds now. */
  readonly after: () => Promise<void>;
}

export interface Operation {
  readonly name: string;
  /** RPCs, loops, steps of a start and other parts of the product that it goes through. */
  readonly covers: readonly string[];
  readonly make: (stage: Stage) => Script;
  /** Calls count only while it says so. */
  readonly during?: (stage: Stage) => boolean;
  /** Calls that its run makes when nothing fails: else it would not be what its name says. */
  readonly reaches?: readonly RegExp[];
  /** Virtual time stands still while it runs: what it waits for comes over a real socket. */
  readonly isStill?: boolean;
  readonly shape?: Partial<Shape>;
  /** Runs with `npm test`. */
  readonly isShort?: boolean;
}
