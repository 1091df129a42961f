/** Tests rows by the terms of their texts. */
import type { FieldId } from '../model/ids.ts';
import { analyzerOf } from '../text/analyzer.ts';
import { MatchQuery } from '../text/match.ts';
import { TextIndex } from '../text/text-index.ts';
import type { Token } from '../text/token.ts';
import { NO, type RowTest, UNKNOWN, YES } from './answer.ts';
import type { MatchLeaf } from './predicate.ts';
import type { Binder } from './values.ts';

/** Where the index of a field stands in the cache of a block of rows. Whoever must not block puts one there that has all the rows. */
export const matchIndexKey = (fieldId: FieldId): string => `match/${fieldId}`;

const queries = new WeakMap<MatchLeaf, MatchQuery>();

/** The words of a match, analyzed elsewhere. */
export function noteMatchTokens(leaf: MatchLeaf, tokens: readonly Token[]): void {
  queries.set(leaf, new MatchQuery(leaf.mode, tokens));
}

export const hasMatchTokens = (leaf: MatchLeaf): boolean => queries.has(leaf);

function queryOf(leaf: MatchLeaf): MatchQuery {
  const known = queries.get(leaf);
  if (known !== undefined) return known;
  const query = new MatchQuery(leaf.mode, analyzerOf(leaf.params).analyze(leaf.text));
  queries.set(leaf, query);
  return query;
}

export function matchTest(binder: Binder, leaf: MatchLeaf): RowTest {
  const { columns } = binder;
  const { fieldId, params } = leaf;
  const column = columns.bytes(fieldId);
  const index = columns.cached(matchIndexKey(fieldId), () => new TextIndex(params));
  const hits = new Uint8Array(column.offsets.length - 1);
  const query = queryOf(leaf);
  let marked = 0;
  binder.needs({
    prepare(to) {
      if (marked >= to) return false;
      index.extendNow(column, Math.min(to, hits.length));
      for (; marked < to; ) {
        const block = index.blocks.find(({ firstRow, rowCount }) => firstRow + rowCount > marked);
        if (block === undefined) return true;
        query.mark(block, hits);
        marked = block.firstRow + block.rowCount;
      }
      return true;
    },
  });
  const { valid } = column;
  return (row) => (valid?.[row] === 0 ? UNKNOWN : hits[row] === 1 ? YES : NO);
}
