/** Answers of a test about a row, in Kleene's logic. */
export const NO = 0;
export const YES = 1;
/** What the test reads is null, missing, or of a type the test does not know. */
export const UNKNOWN = 2;
/** Not answered yet: an exact test follows, on the rows that everything else lets pass. */
export const OPEN = 3;
export type Answer = typeof NO | typeof YES | typeof UNKNOWN;
export type RowTest = (row: number) => Answer | typeof OPEN;
