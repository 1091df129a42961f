/** Parses JSON from outside. Throws SyntaxError. The result is unknown until it has been checked. */
export const parseJson = (text: string): unknown => JSON.parse(text);
