/** What a database must do to be measured, and how the measured process is told and tells. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** One setting of a system's own trade of speed for recall, by the names it has there. */
export type Knob = Readonly<Record<string, number>>;

export interface VectorShape {
  readonly dim: number;
  readonly metric: 'COSINE' | 'L2';
}

export interface VectorSystem {
  /** What is measured: version, index, parameters. */
  readonly about: string;
  /** Settings from cheap to thorough; of several ladders the one that is fastest at the wanted recall counts. */
  readonly ladders: readonly (readonly Knob[])[];
  /** Acknowledged when it resolves. Ids count on from `first`. */
  insert(first: number, vectors: Float32Array, numbers: BigInt64Array): Promise<void>;
  /** After the last insert: makes all of it durable. */
  flush(): Promise<void>;
  /** Until every row is in the index, and the index answers. */
  index(): Promise<void>;
  /** Ids of the nearest; `below`: of rows whose number is below it. `lane` counts the clients, `lanes` of them ask at once. */
  search(
    query: Float32Array,
    k: number,
    knob: Knob,
    lane: number,
    below?: number,
  ): Promise<readonly number[]>;
  close(): Promise<void>;
}

export interface TextSystem {
  readonly about: string;
  insert(first: number, texts: readonly string[]): Promise<void>;
  flush(): Promise<void>;
  index(): Promise<void>;
  /** Ids of the best for any of the words. */
  search(words: string, k: number, lane: number): Promise<readonly number[]>;
  close(): Promise<void>;
}

/** Says at a first step that a peer is not there: the table then says so. */
export class NotInstalled extends Error {}

/** A package that is no dependency: whatever it is, it is looked up when the bench runs. */
export async function peer<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_MODULE_NOT_FOUND') throw new NotInstalled(name);
    throw error;
  }
}

export function versionOf(name: string): string {
  const folders = createRequire(import.meta.url).resolve.paths(name) ?? [];
  const file = folders.map((folder) => join(folder, name, 'package.json')).find(existsSync);
  return file === undefined ? '' : (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Rows that an insert brings: what the systems take well. */
export const BATCH = 5000;
