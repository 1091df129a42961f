import { readFileSync } from 'node:fs';
import { parseJson } from '../support/json.ts';

/** The version in package.json, which lies two folders above the compiled file. */
export const version: string = (
  parseJson(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
