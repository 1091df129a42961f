/**
 * Keeps two things apart in one collection: the capture of a snapshot, from its seal at T to the moment it has read the segments, and the
 * commit by which a compaction replaces segments. So what a capture finds holds writes up to T only, and a segment it protects
 * is not replaced behind its back. Captures do not wait for each other nor for replacements that wait: only for a commit under way.
 * Collections do not wait for other ones.
 */
import type { CollectionId } from '../model/ids.ts';

class Door {
  captures = 0;
  isReplacing = false;
  readonly #waitingCaptures: (() => void)[] = [];
  readonly #waitingReplacements: (() => void)[] = [];

  get isIdle(): boolean {
    return this.captures === 0 && !this.isReplacing && this.#waitingReplacements.length === 0;
  }

  enter(kind: 'capture' | 'replace'): Promise<void> {
    return new Promise((enter) => {
      (kind === 'capture' ? this.#waitingCaptures : this.#waitingReplacements).push(enter);
      this.admit();
    });
  }

  admit(): void {
    if (this.isReplacing) return;
    for (const enter of this.#waitingCaptures.splice(0)) {
      this.captures++;
      enter();
    }
    if (this.captures > 0) return;
    const enter = this.#waitingReplacements.shift();
    if (enter === undefined) return;
    this.isReplacing = true;
    enter();
  }
}

export class CaptureGate {
  readonly #doors = new Map<CollectionId, Door>();

  /** Runs `work`: seal, flush, and the reading of the segments. */
  capture<T>(collectionId: CollectionId, work: () => Promise<T>): Promise<T> {
    return this.#pass(collectionId, 'capture', work);
  }

  /** Runs `work`: one commit that replaces segments by others. What it is based on has to be looked at inside. */
  replace<T>(collectionId: CollectionId, work: () => Promise<T>): Promise<T> {
    return this.#pass(collectionId, 'replace', work);
  }

  async #pass<T>(
    collectionId: CollectionId,
    kind: 'capture' | 'replace',
    work: () => Promise<T>,
  ): Promise<T> {
    const door = this.#doors.get(collectionId) ?? new Door();
    this.#doors.set(collectionId, door);
    await door.enter(kind);
    try {
      return await work();
    } finally {
      if (kind === 'capture') door.captures--;
      else door.isReplacing = false;
      door.admit();
      if (door.isIdle) this.#doors.delete(collectionId);
    }
  }
}
