import { DbError } from '../../errors/db-error.ts';

/** Throws `parameter-invalid` unless a snapshot may have this name: letters, digits and `_`, not beginning with a digit. */
export function checkSnapshotName(name: string, maxLength: number): void {
  if (name.trim() === '') throw new DbError('parameter-invalid', 'snapshot name should be not empty');
  const wrong = (why: string) => new DbError('parameter-invalid', `invalid snapshot name '${name}': ${why}`);
  if (Buffer.byteLength(name) > maxLength)
    throw wrong(`the length of snapshot name must be not greater than limit (${maxLength})`);
  if (!/^[A-Za-z_]/.test(name))
    throw wrong('the first character of snapshot name must be an underscore or letter');
  if (!/^\w+$/.test(name))
    throw wrong('snapshot name can only contain numbers, letters, underscores, and allowed characters');
}

/** Throws `parameter-invalid` when a call that needs a collection names none. */
export function requireCollectionName(name: string, call: string): void {
  if (name === '') throw new DbError('parameter-invalid', `collection_name is required for ${call}`);
}

/** Throws `parameter-invalid` unless `seconds` is an integer from 0 to `max`, in the words clients look for. */
export function checkSeconds(seconds: number, max: number, what: string, exceeds: string): void {
  if (!Number.isSafeInteger(seconds) || seconds < 0)
    throw new DbError('parameter-invalid', `${what} must be non-negative`);
  if (seconds > max) throw new DbError('parameter-invalid', `${what} ${exceeds} ${max}`);
}

export const snapshotNotFound = (name: string, collection: string): DbError =>
  new DbError('snapshot-not-found', `snapshot not found: '${name}' in collection '${collection}'`);
