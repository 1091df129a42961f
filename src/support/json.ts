/** Parses JSON from outside. Throws SyntaxError. The result is unknown until it has been checked. */
export const parseJson = (text: string): unknown => JSON.parse(text);

/** JSON text; 64-bit integers become strings, as every JSON reader keeps those exact. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? inner.toString() : inner));
