import type { NodeId } from '../../model/ids.ts';
import type { TaskClass } from './task.ts';

export interface NodeLoad {
  readonly nodeId: NodeId;
  readonly slots: number;
  readonly usedSlots: number;
  /** The part of `usedSlots` that is not restores. */
  readonly usedByOthers: number;
}

/** Slots of a node that only restores may use. A node with one slot reserves none: there the turns of the classes are the fairness. */
export const reservedSlots = (slots: number, restoreShare: number): number =>
  slots < 2 || restoreShare <= 0 ? 0 : Math.min(slots - 1, Math.max(1, Math.floor(slots * restoreShare)));

/**
 * The least loaded node on which the task fits, by the share of its slots in use; undefined when it fits nowhere now. A task
 * that asks for more than a node can ever give takes all the node can give.
 */
export function pickNode(
  loads: readonly NodeLoad[],
  taskClass: TaskClass,
  neededSlots: number,
  restoreShare: number,
): { readonly nodeId: NodeId; readonly slots: number } | undefined {
  let best: { readonly nodeId: NodeId; readonly slots: number; readonly load: number } | undefined;
  for (const { nodeId, slots, usedSlots, usedByOthers } of loads) {
    const mayUse = taskClass === 'restore' ? slots : slots - reservedSlots(slots, restoreShare);
    const takes = Math.min(neededSlots, mayUse);
    const fits =
      takes >= 1 && usedSlots + takes <= slots && (taskClass === 'restore' || usedByOthers + takes <= mayUse);
    if (!fits) continue;
    const load = usedSlots / slots;
    if (best === undefined || load < best.load || (load === best.load && nodeId < best.nodeId))
      best = { nodeId, slots: takes, load };
  }
  return best && { nodeId: best.nodeId, slots: best.slots };
}
