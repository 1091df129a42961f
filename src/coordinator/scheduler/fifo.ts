/** First in, first out, by key. Every operation costs the same however many wait, removing from the middle too. */
export class Fifo<K, V> {
  readonly #nodes = new Map<K, { readonly key: K; readonly value: V; isGone: boolean }>();
  #order: { readonly key: K; readonly value: V; isGone: boolean }[] = [];
  #head = 0;

  get size(): number {
    return this.#nodes.size;
  }

  get first(): V | undefined {
    while (this.#order[this.#head]?.isGone === true) this.#head++;
    // Moved only when as much is thrown away as is kept.
    if (this.#head > 64 && this.#head * 2 > this.#order.length) {
      this.#order = this.#order.slice(this.#head);
      this.#head = 0;
    }
    return this.#order[this.#head]?.value;
  }

  has(key: K): boolean {
    return this.#nodes.has(key);
  }

  /** A key that is there already stays where it is. */
  push(key: K, value: V): void {
    if (this.#nodes.has(key)) return;
    const node = { key, value, isGone: false };
    this.#nodes.set(key, node);
    this.#order.push(node);
  }

  delete(key: K): void {
    const node = this.#nodes.get(key);
    if (node === undefined) return;
    node.isGone = true;
    this.#nodes.delete(key);
    if (this.#nodes.size > 0) return;
    this.#order = [];
    this.#head = 0;
  }
}
