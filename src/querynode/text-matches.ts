/** Makes the matches of a filter ready for a unit without holding up others: texts are analyzed in slices, much of it in worker threads. */
import { hasMatchTokens, matchIndexKey, noteMatchTokens } from '../expr/match-leaf.ts';
import type { MatchLeaf } from '../expr/predicate.ts';
import type { BytesColumn } from '../model/rows.ts';
import { assert } from '../support/assert.ts';
import type { Workers } from '../support/workers.ts';
import { analyzerOf } from '../text/analyzer.ts';
import { buildTextBlock, type TextBlock, type TextRows } from '../text/text-block.ts';
import { type BuildBlock, BYTES_AT_ONCE, TextIndex } from '../text/text-index.ts';
import {
  ANALYZE_MATCH,
  type AnalyzeMatchInput,
  BUILD_TEXT_BLOCK,
  type BuildTextBlockInput,
} from '../text/text-tasks.ts';
import type { Token } from '../text/token.ts';
import type { FilterSource } from './filter.ts';
import type { Pacer } from './pacer.ts';
import type { Unit } from './unit.ts';

/** Bytes of text a worker thread is given at a time: a tenth of a second. */
const BYTES_PER_TASK = 1 << 20;
/** Units of the pacer for a byte of text, in this thread and when another does it. */
const COST_PER_BYTE = 25;
const COST_PER_SENT_BYTE = 0.1;
/** UTF-16 units of a query that this thread analyzes. */
const MAX_QUERY_HERE = 4096;

export interface MatchContext {
  readonly pacer: Pacer;
  /** Absent: this thread does it all. */
  readonly workers?: Workers | undefined;
}

/** The words of the matches. Once for a filter. */
async function prepareWords(matches: readonly MatchLeaf[], { workers }: MatchContext): Promise<void> {
  for (const leaf of matches) {
    const { params, text } = leaf;
    const isQuick = !analyzerOf(params).isHeavy && text.length <= MAX_QUERY_HERE;
    if (workers === undefined || isQuick || hasMatchTokens(leaf)) continue;
    noteMatchTokens(leaf, await workers.run<AnalyzeMatchInput, Token[]>(ANALYZE_MATCH, { params, text }));
  }
}

/** The words of the matches and the terms of the unit's texts, as far as the filter will look. Without a unit nothing is kept. */
export async function prepareMatches(
  matches: readonly MatchLeaf[],
  unit: Unit | undefined,
  source: FilterSource,
  context: MatchContext,
): Promise<void> {
  await prepareWords(matches, context);
  for (const { fieldId, params } of matches) {
    const column = source.column(fieldId);
    assert(column.layout === 'bytes', 'a text field has bytes');
    // A unit that is older than the field reads it from nowhere: what it has is no part of the unit.
    const isOwn = unit?.column(fieldId) !== undefined;
    const index = isOwn
      ? unit.textIndex(fieldId, params)
      : ((source.cache.get(matchIndexKey(fieldId)) as TextIndex | undefined) ?? new TextIndex(params));
    await extended(index, column, source.rowCount, context);
    source.cache.set(matchIndexKey(fieldId), index);
  }
}

async function extended(
  index: TextIndex,
  column: BytesColumn,
  rowCount: number,
  { workers, pacer }: MatchContext,
): Promise<void> {
  const { offsets } = column;
  if (index.rowCount >= rowCount) return;
  const bytes = (offsets[rowCount] ?? 0) - (offsets[index.rowCount] ?? 0);
  const isHere = workers === undefined || (bytes <= BYTES_AT_ONCE && !analyzerOf(index.params).isHeavy);
  const here: BuildBlock = async (rows, from, to) => {
    await pacer.spend(((offsets[to] ?? 0) - (offsets[from] ?? 0)) * COST_PER_BYTE + (to - from));
    return buildTextBlock(index.params, rows, from, to);
  };
  const there: BuildBlock = async (rows, from, to) => {
    const own = rowsOf(rows, from, to);
    await pacer.spend(own.data.length * COST_PER_SENT_BYTE + (to - from));
    assert(workers !== undefined, 'there are workers');
    const input: BuildTextBlockInput = { params: index.params, rows: own, rowCount: to - from };
    const block: TextBlock = await workers.run(BUILD_TEXT_BLOCK, input);
    return { ...block, firstRow: from };
  };
  await index.extend(column, rowCount, isHere ? BYTES_AT_ONCE : BYTES_PER_TASK, isHere ? here : there);
}

/** A copy of some rows. */
function rowsOf({ offsets, data, valid }: TextRows, from: number, to: number): TextRows {
  const start = offsets[from] ?? 0;
  return {
    offsets: offsets.slice(from, to + 1).map((offset) => offset - start),
    data: data.slice(start, offsets[to]),
    valid: valid?.slice(from, to),
  };
}
