/** The naming rules of everything a user names. */
import { DbError } from '../../errors/db-error.ts';

/** UTF-8 bytes. */
const MAX_NAME_BYTES = 255;

type Named = 'collection' | 'alias' | 'partition' | 'index' | 'field' | 'function' | 'database' | 'snapshot';

const refuse = (message: string): never => {
  throw new DbError('parameter-invalid', message);
};

/**
 * The name, if it is one: first a letter or underscore, then letters, digits and underscores, at most 255 bytes. So no name
 * holds a control character, a path separator, or anything else that means something to a file system.
 */
export function requireName(what: Named, name: string): string {
  if (name.trim() === '') return refuse(`${what} name should be not empty`);
  if (Buffer.byteLength(name) > MAX_NAME_BYTES)
    return refuse(`the length of ${what} name must be not greater than limit: ${MAX_NAME_BYTES}`);
  const shown = JSON.stringify(name);
  if (!/^[A-Za-z_]/.test(name))
    return refuse(
      `Invalid ${what} name: ${shown}. the first character of ${what} name must be an underscore or letter`,
    );
  if (!/^\w+$/.test(name))
    return refuse(
      `Invalid ${what} name: ${shown}. ${what} name can only contain numbers, letters, underscores, and allowed characters`,
    );
  return name;
}

/** Snapshot names are taken without the space around them. */
export const requireSnapshotName = (name: string): string => requireName('snapshot', name.trim());
