import type { DataNode, NodeTaskReport } from '../../datanode/api.ts';
import type { NodeId } from '../../model/ids.ts';
import type { Cluster } from './cluster.ts';

/** Listens to every member of the cluster, once each, and to no node that is gone. */
export class NodeReports {
  readonly #cluster: Cluster;
  readonly #hear: (nodeId: NodeId, report: NodeTaskReport) => void;
  readonly #subscriptions = new Map<NodeId, { readonly node: DataNode; stop(): void }>();

  constructor(cluster: Cluster, hear: (nodeId: NodeId, report: NodeTaskReport) => void) {
    this.#cluster = cluster;
    this.#hear = hear;
  }

  /** After the cluster may have changed. */
  follow(): void {
    for (const [nodeId, { node, stop }] of this.#subscriptions)
      if (this.#cluster.get(nodeId) !== node) {
        stop();
        this.#subscriptions.delete(nodeId);
      }
    for (const node of this.#cluster.nodes()) {
      if (this.#subscriptions.has(node.nodeId)) continue;
      const { stop } = node.onReport((report) => this.#hear(node.nodeId, report));
      this.#subscriptions.set(node.nodeId, { node, stop });
    }
  }

  stop(): void {
    for (const { stop } of this.#subscriptions.values()) stop();
    this.#subscriptions.clear();
  }
}
