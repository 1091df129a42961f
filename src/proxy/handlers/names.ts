/** Lists of names in parameters: with commas, or in JSON. Keys of JSON fields may hold commas and colons themselves. */
import { DbError } from '../../errors/db-error.ts';
import { parseJson } from '../../support/json.ts';

const PARTS = {
  ',': /(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^,])*/gy,
  ':': /(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^:])*/gy,
};

/** Pure. The parts between separators that do not stand in quotes, trimmed. */
export function splitOutside(text: string, separator: ',' | ':'): string[] {
  const parts: string[] = [];
  for (let at = 0; at <= text.length; ) {
    const pattern = new RegExp(PARTS[separator]);
    pattern.lastIndex = at;
    const [part = ''] = pattern.exec(text) ?? [];
    parts.push(part.trim());
    at += part.length + 1;
  }
  return parts;
}

/** The names of a parameter. Throws `parameter-invalid`. */
export function nameList(key: string, text: string): readonly string[] {
  if (text.trim() === '') return [];
  if (!text.trim().startsWith('[')) return splitOutside(text, ',');
  try {
    const names = parseJson(text);
    if (Array.isArray(names) && names.every((name): name is string => typeof name === 'string')) return names;
  } catch (cause) {
    throw new DbError('parameter-invalid', `${key} is not valid JSON`, { cause });
  }
  throw new DbError('parameter-invalid', `${key} must be a list of names`);
}
