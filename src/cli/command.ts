/** What a command that asks a running server is made of. */

import type { SnapshotReport } from '../coordinator/admin-api.ts';
import type { AdminClient, Json } from './admin-client.ts';
import { UsageError } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

export interface Flag {
  readonly type: 'string' | 'boolean';
  /** May be given more than once. */
  readonly multiple?: true;
  /** How its value is called in the help. */
  readonly value?: string;
  readonly help: string;
}

export interface Call {
  readonly args: readonly string[];
  readonly flags: Readonly<Record<string, unknown>>;
  /** `--database`; absent: none was named. */
  readonly database: string | undefined;
  /** Exactly what the server answers, for machines. */
  readonly isJson: boolean;
  readonly client: AdminClient;
  readonly terminal: Terminal;
}

export interface Command {
  readonly words: readonly string[];
  readonly synopsis: string;
  readonly summary: string;
  /** Least and most arguments. */
  readonly arity: readonly [number, number];
  readonly flags: Readonly<Record<string, Flag>>;
  readonly help: string;
  /** Answers the exit code. */
  run(call: Call): Promise<number>;
}

export interface SnapshotName {
  readonly database: string;
  readonly collection: string;
  readonly name: string;
}

export const DEFAULT_DATABASE = 'default';

/** `COLLECTION NAME`, or one argument `COLLECTION/NAME` or `DATABASE/COLLECTION/NAME`. Throws `UsageError`. */
export function snapshotName(args: readonly string[], database: string | undefined): SnapshotName {
  const parts = args.length === 1 ? (args[0] ?? '').split('/') : args;
  const [name = '', collection = '', ofArgument] = parts.toReversed();
  if (parts.length < 2 || parts.length > 3 || parts.includes(''))
    throw new UsageError(`'${args.join(' ')}' names no snapshot: COLLECTION NAME, or COLLECTION/NAME`);
  return { database: ofArgument ?? database ?? DEFAULT_DATABASE, collection, name };
}

export const snapshotText = ({ database, collection, name }: SnapshotName): string =>
  `${database}/${collection}/${name}`;

export const reportName = (report: Json<SnapshotReport>): string =>
  snapshotText({ database: report.databaseName, collection: report.collectionName, name: report.name });

/** Every value of a flag that may be given more than once; undefined when it was not. */
export const textFlags = (flags: Call['flags'], name: string): readonly string[] | undefined =>
  flags[name] as readonly string[] | undefined;

export const textFlag = (flags: Call['flags'], name: string): string | undefined =>
  flags[name] as string | undefined;
