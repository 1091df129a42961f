/**
 * Which data nodes are alive. A node in this process is a member until it leaves; one elsewhere holds a lease that it renews, and
 * is lost when the lease has run out. A node that came back after that is a new member: its attempts were given away.
 */
import type { DataNode } from '../../datanode/api.ts';
import type { NodeId } from '../../model/ids.ts';
import type { Clock } from '../../support/clock.ts';

interface Member {
  readonly node: DataNode;
  /** Length of its lease, and when it ends (monotonic, ms). Absent: no lease. */
  readonly lease?: { readonly ttlMs: number; readonly endsAtMs: number };
}

export class Cluster {
  readonly #clock: Clock;
  readonly #members = new Map<NodeId, Member>();
  readonly #listeners = new Set<() => void>();

  /** Another number after every join, leave and loss. */
  version = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `leaseMs` absent: the node lives as long as this process. */
  join(node: DataNode, leaseMs?: number): void {
    this.#members.set(node.nodeId, {
      node,
      ...(leaseMs === undefined
        ? {}
        : { lease: { ttlMs: leaseMs, endsAtMs: this.#clock.monotonicMs() + leaseMs } }),
    });
    this.#changed();
  }

  /** False when the lease has ended: the node has to join again. */
  renew(nodeId: NodeId): boolean {
    this.expire();
    const member = this.#members.get(nodeId);
    if (member?.lease === undefined) return member !== undefined;
    const { ttlMs } = member.lease;
    this.#members.set(nodeId, {
      node: member.node,
      lease: { ttlMs, endsAtMs: this.#clock.monotonicMs() + ttlMs },
    });
    return true;
  }

  leave(nodeId: NodeId): void {
    if (this.#members.delete(nodeId)) this.#changed();
  }

  /** Lets go of every node whose lease has ended. */
  expire(): void {
    const nowMs = this.#clock.monotonicMs();
    const lost = [...this.#members.values()].filter(
      ({ lease }) => lease !== undefined && lease.endsAtMs <= nowMs,
    );
    for (const { node } of lost) this.#members.delete(node.nodeId);
    if (lost.length > 0) this.#changed();
  }

  /** Alive nodes only. */
  get(nodeId: NodeId): DataNode | undefined {
    return this.#members.get(nodeId)?.node;
  }

  nodes(): readonly DataNode[] {
    return [...this.#members.values()].map(({ node }) => node);
  }

  /** Told after a node joined, left or was lost. */
  onChange(listener: () => void): { stop(): void } {
    this.#listeners.add(listener);
    return { stop: () => this.#listeners.delete(listener) };
  }

  #changed(): void {
    this.version++;
    for (const listener of this.#listeners) listener();
  }
}
