/**
 * How much of one kind of work a turn of the event loop may hold. Many small pieces share a turn, a large one has it alone, and what is
 * more waits for the next turns, first come first served: whoever else has something to do gets a turn in between.
 */
const GRANTED = Promise.resolve();

export class TurnBudget {
  readonly #perTurn: number;
  readonly #nextTurn: (run: () => void) => void;
  #left: number;
  #waiting: { readonly cost: number; readonly run: () => void }[] = [];
  #isRefilling = false;

  /** `nextTurn` calls back in another turn of the event loop. */
  constructor(perTurn: number, nextTurn: (run: () => void) => void = (run) => void setImmediate(run)) {
    this.#perTurn = perTurn;
    this.#left = perTurn;
    this.#nextTurn = nextTurn;
  }

  /** Resolves in a turn that has room for `cost`; one that has all of its room left takes any. */
  take(cost: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#grants(cost)) return GRANTED;
    return new Promise((run) => {
      this.#waiting.push({ cost, run });
    });
  }

  #grants(cost: number): boolean {
    this.#refillLater();
    if (cost > this.#left && this.#left < this.#perTurn) return false;
    this.#left -= cost;
    return true;
  }

  #refillLater(): void {
    if (this.#isRefilling) return;
    this.#isRefilling = true;
    this.#nextTurn(() => this.#refill());
  }

  #refill(): void {
    this.#isRefilling = false;
    this.#left = this.#perTurn;
    let granted = 0;
    for (const { cost, run } of this.#waiting) {
      if (!this.#grants(cost)) break;
      granted++;
      run();
    }
    this.#waiting = this.#waiting.slice(granted);
  }
}
