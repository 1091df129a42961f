/** Items by number, smallest first; both operations cost log(size). */
export class Heap<T> {
  readonly #items: { readonly at: number; readonly value: T }[] = [];

  get smallest(): number | undefined {
    return this.#items[0]?.at;
  }

  push(at: number, value: T): void {
    const items = this.#items;
    const added = { at, value };
    let index = items.push(added) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = items[parent];
      if (above === undefined || above.at <= at) break;
      items[index] = above;
      index = parent;
    }
    items[index] = added;
  }

  /** Takes the smallest item when its number is at most `limit`. */
  popUntil(limit: number): T | undefined {
    const first = this.#items[0];
    if (first === undefined || first.at > limit) return undefined;
    const last = this.#items.pop();
    if (last !== undefined && this.#items.length > 0) this.#sink(last);
    return first.value;
  }

  #sink(moved: { readonly at: number; readonly value: T }): void {
    const items = this.#items;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const right = items[left + 1];
      const child = right !== undefined && right.at < (items[left]?.at ?? 0) ? left + 1 : left;
      const below = items[child];
      if (below === undefined || below.at >= moved.at) break;
      items[index] = below;
      index = child;
    }
    items[index] = moved;
  }
}
