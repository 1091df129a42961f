/** Works on the text of a JSON object, so that numbers keep every digit. The text must be valid JSON. */
import { parseJson } from '../../support/json.ts';

export interface JsonEntry {
  readonly key: string;
  /** The value's text. */
  readonly value: string;
}

const isSpace = (char: string | undefined): boolean =>
  char === ' ' || char === '\n' || char === '\r' || char === '\t';

/** The index after the string that starts at `at`. */
function endOfString(text: string, at: number): number {
  let i = at + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i + 1;
}

/** The index after the value that starts at `at`. */
function endOfValue(text: string, at: number): number {
  if (text[at] === '"') return endOfString(text, at);
  let depth = 0;
  for (let i = at; i < text.length; ) {
    const char = text[i] as string;
    if (depth === 0 && endsScalar(char)) return i;
    if (char === '"') {
      i = endOfString(text, i);
      continue;
    }
    depth += depthChange(char);
    i++;
    if (depth === 0 && (char === '}' || char === ']')) return i;
  }
  return text.length;
}

const endsScalar = (char: string): boolean => char === ',' || char === '}' || isSpace(char);

function depthChange(char: string): number {
  if (char === '{' || char === '[') return 1;
  return char === '}' || char === ']' ? -1 : 0;
}

/** The members of a valid JSON object, in order. */
export function jsonEntries(text: string): JsonEntry[] {
  const entries: JsonEntry[] = [];
  let at = text.indexOf('{') + 1;
  while (at > 0 && at < text.length) {
    while (isSpace(text[at]) || text[at] === ',') at++;
    if (text[at] !== '"') break;
    const keyEnd = endOfString(text, at);
    const key = parseJson(text.slice(at, keyEnd)) as string;
    at = text.indexOf(':', keyEnd) + 1;
    while (isSpace(text[at])) at++;
    const end = endOfValue(text, at);
    entries.push({ key, value: text.slice(at, end) });
    at = end;
  }
  return entries;
}

export const jsonObjectText = (entries: readonly JsonEntry[]): string =>
  `{${entries.map(({ key, value }) => `${JSON.stringify(key)}:${value}`).join(',')}}`;
