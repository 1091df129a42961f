/** Parses JSON from outside. Throws SyntaxError. The result is unknown until it has been checked. */
export const parseJson = (text: string): unknown => JSON.parse(text);

/** Whether nothing in it is nested deeper than `depth`: parsed JSON may be deeper than any function that calls itself can go. */
export const isShallow = (value: unknown, depth: number): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1)));

/** JSON text; 64-bit integers become strings, as every JSON reader keeps those exact. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner));
