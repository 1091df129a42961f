import { isDeepStrictEqual } from 'node:util';
import type { MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ok, PARTITIONS, partitionOf, RESTORED, rowOf } from './table.ts';
import type { Words } from './words.ts';

export interface SearchRecord {
  readonly word: string;
  readonly hits: readonly { readonly word: string; readonly score: number }[];
}

export interface Proof {
  readonly summary: string;
  readonly differences: readonly string[];
}

const PAGE = 5_000;

/** Reads the whole restored collection, partition by partition, and compares each row and each float with the input. */
export async function proveRows(client: MilvusClient, words: Words, count: number): Promise<Proof> {
  const differences: string[] = [];
  const seen = new Uint8Array(count);
  for (const { name } of PARTITIONS)
    for (let from = 0; from < count; from += PAGE) {
      const { status, data } = await client.query({
        collection_name: RESTORED,
        partition_names: [name],
        filter: `rank >= ${from} and rank < ${from + PAGE}`,
        output_fields: ['word', 'rank', 'length', 'first', 'info', 'vector'],
        limit: PAGE + 1,
      });
      await ok(Promise.resolve(status));
      for (const row of data) compare(words, row, name, seen, differences);
    }
  const { data } = await client.count({ collection_name: RESTORED });
  if (Number(data) !== count) differences.push(`count(*) is ${data}, not ${count}`);
  seen.forEach((times, rank) => {
    if (times !== 1) differences.push(`'${words.words[rank]}' was read ${times} times`);
  });
  return {
    summary: `${seen.reduce((sum, n) => sum + n, 0)} rows read, ${differences.length} differences`,
    differences,
  };
}

function compare(
  words: Words,
  row: Record<string, unknown>,
  partition: string,
  seen: Uint8Array,
  differences: string[],
): void {
  const rank = Number(row['rank']);
  if (!(rank >= 0 && rank < seen.length)) return void differences.push(`a row of unknown rank ${rank}`);
  seen[rank] = (seen[rank] as number) + 1;
  const { word, length, first, info, vector } = row;
  const wanted = rowOf(words, rank);
  if (
    !isDeepStrictEqual(
      { ...wanted },
      { word, rank, length: Number(length), first, info, vector: [...(vector as number[])] },
    )
  )
    differences.push(`row of rank ${rank} ('${wanted.word}')`);
  if (partitionOf(rank) !== partition) differences.push(`'${wanted.word}' stands in partition ${partition}`);
}

export function proveSearches(before: readonly SearchRecord[], after: readonly SearchRecord[]): Proof {
  const differences = before.flatMap((record, i) =>
    isDeepStrictEqual(record, after[i]) ? [] : [`neighbours of '${record.word}'`],
  );
  return { summary: `${before.length} searches repeated, ${differences.length} differences`, differences };
}
