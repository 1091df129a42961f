/**
 * Every error a caller can meet. `wire` is Milvus's number in `Status.code`; `legacy` the name in `Status.error_code`, which
 * older clients compare; `retriable` says that the same call may succeed later; `input` that the caller has to change it.
 */
interface ErrorCode {
  readonly wire: number;
  readonly legacy: string;
  readonly retriable: boolean;
  readonly input: boolean;
  readonly help: string;
}

const world = (wire: number, help: string, retriable = false): ErrorCode => ({
  wire,
  legacy: 'UnexpectedError',
  retriable,
  input: false,
  help,
});
const caller = (wire: number, help: string, legacy = 'UnexpectedError'): ErrorCode => ({
  wire,
  legacy,
  retriable: false,
  input: true,
  help,
});

export const errorCodes = {
  'service-unavailable': world(2, 'The server is starting or stopping. Try again.', true),
  'resource-exhausted': world(3, 'A queue or limit is full. Try again with less, or later.', true),
  internal: world(5, 'A fault of the server. Its log has the details; please report it.'),
  unimplemented: caller(10, 'This server does not have the feature. See docs/compatibility.md.'),
  'collection-not-found': caller(100, 'Check the collection and database name.'),
  'collection-not-loaded': caller(101, 'Load the collection first.'),
  'collection-loaded': caller(104, 'Release the collection first.'),
  'collection-on-recovering': world(106, 'The collection is being loaded or restored. Try again.', true),
  'partition-not-found': caller(200, 'Check the partition name.'),
  'partition-not-loaded': caller(201, 'Load the partition first.'),
  'index-not-found': caller(700, 'Create the index first.', 'IndexNotExist'),
  'index-duplicate': caller(702, 'One index per field and name. Drop the old one first.'),
  /** Older clients compare the legacy name: Milvus answers these with the general one. */
  'index-invalid': caller(1100, 'Correct the field or parameter named in the message.'),
  'database-not-found': caller(800, 'Check the database name.'),
  'database-not-empty': caller(801, 'Drop its collections first.'),
  'node-not-found': world(901, 'The data node is gone. The task goes to another.', true),
  'object-not-found': world(1000, 'An object is missing in storage. Run verify.'),
  'storage-failed': world(1001, 'Storage answered with an error. Try again.', true),
  'storage-full': world(1002, 'No space left on the device. Free some, then try again.', true),
  'data-integrity': world(
    1009,
    'Stored bytes are not what was written. Run verify; restore an older snapshot.',
  ),
  'store-mismatch': world(
    1010,
    'Catalog and object store, or log, do not belong together; nothing is deleted. Start with those that were written together.',
  ),
  'parameter-invalid': caller(1100, 'Correct the parameter named in the message.', 'IllegalArgument'),
  'parameter-missing': caller(1101, 'Give the parameter named in the message.', 'IllegalArgument'),
  'parameter-too-large': caller(1102, 'Send less in one request.', 'IllegalArgument'),
  'alias-not-found': caller(1600, 'Check the alias.'),
  'alias-conflict': caller(1601, 'Choose another alias: a collection has the name.'),
  'alias-duplicate': caller(1602, 'Drop the alias first, or alter it.'),
  'job-not-found': caller(2101, 'Finished jobs are forgotten after their retention.'),
  'compaction-not-found': caller(2102, 'Ended compactions are forgotten after some hours and by a restart.'),
  'snapshot-not-found': caller(2600, 'List the snapshots of the collection.'),
  'snapshot-pinned': caller(2601, 'Unpin it, or wait for the restore that reads it.'),
  'filter-invalid': caller(1100, 'Correct the filter at the position given.', 'IllegalArgument'),
  'partition-key-mode': caller(65535, 'Partitions of a collection with a partition key are not named.'),
  'field-not-found': caller(65535, 'Check the field name.'),
  'field-not-retrievable': caller(65535, 'What a function writes is not shown. Leave the field out.'),
  'collection-duplicate': caller(65535, 'Choose another name, or drop the existing one.'),
  /** A worker thread or task was told to stop. Never seen on the wire. */
  cancelled: world(2, 'The work was cancelled.', true),
} as const satisfies Record<string, ErrorCode>;

export type ErrorName = keyof typeof errorCodes;
