import type { DataNode } from '../../datanode/api.ts';
import type { NodeId } from '../../model/ids.ts';
import type { NodeLoad } from './node-picker.ts';
import type { TaskClass } from './task.ts';

/** Slots taken of one node by one task. */
export interface Held {
  readonly nodeId: NodeId;
  readonly slots: number;
  readonly taskClass: TaskClass;
}

/** What of every node's slots is in use. */
export class Slots {
  readonly #used = new Map<NodeId, { readonly all: number; readonly others: number }>();

  hold(held: Held): void {
    this.#add(held, held.slots);
  }

  release(held: Held): void {
    this.#add(held, -held.slots);
  }

  loads(nodes: readonly DataNode[]): readonly NodeLoad[] {
    return nodes.map(({ nodeId, slots }) => {
      const used = this.#used.get(nodeId);
      return { nodeId, slots, usedSlots: used?.all ?? 0, usedByOthers: used?.others ?? 0 };
    });
  }

  #add({ nodeId, taskClass }: Held, slots: number): void {
    const { all, others } = this.#used.get(nodeId) ?? { all: 0, others: 0 };
    if (all + slots === 0) this.#used.delete(nodeId);
    else
      this.#used.set(nodeId, {
        all: all + slots,
        others: taskClass === 'restore' ? others : others + slots,
      });
  }
}
