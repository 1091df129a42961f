/** A total transition table: every state answers every event, `null` meaning "never". */
export type Table<S extends string, E extends string> = Readonly<Record<S, Readonly<Record<E, S | null>>>>;

export class IllegalTransition extends Error {
  override readonly name = 'IllegalTransition';
  constructor(machine: string, from: string, event: string) {
    super(`${machine}: '${event}' is not allowed in state '${from}'`);
  }
}

export interface Machine<S extends string, E extends string> {
  readonly table: Table<S, E>;
  /** The state after `event`, or throws IllegalTransition: a bug in us, never bad input. */
  next(from: S, event: E): S;
  isTerminal(state: S): boolean;
}

export function defineMachine<S extends string, E extends string>(
  name: string,
  table: Table<S, E>,
): Machine<S, E> {
  return {
    table,
    next(from, event) {
      const to = table[from][event];
      if (to === null) throw new IllegalTransition(name, from, event);
      return to;
    },
    isTerminal: (state) => Object.values(table[state]).every((to) => to === null),
  };
}
