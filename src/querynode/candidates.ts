/**
 * Tests single rows of a unit: their fields are copied into a small block, and the filter runs over that, so that a row costs what it holds
 * and nothing is decoded for the others. Every row is tested once.
 */
import type { FieldId } from '../model/ids.ts';
import { present } from '../support/assert.ts';
import { seededRandom } from '../support/random.ts';
import { forEachRow, hasBit, popcount, setBit, wordCount } from './bitmap.ts';
import { type FilterSource, type OpenSelection, rowSource, scanned } from './filter.ts';
import { gatherRows } from './gather.ts';
import type { Pacer } from './pacer.ts';
import { prepareMatches } from './text-matches.ts';
import { requireField } from './unit.ts';

/** Rows of a block, and bytes and items of their fields. */
const BLOCK_ROWS = 512;
const BLOCK_SIZE = 2 ** 20;
const COST_PER_WORD = 1;

export class Candidates {
  readonly #open: OpenSelection;
  readonly #pacer: Pacer;
  readonly #tested: Uint32Array;
  readonly #passing: Uint32Array;
  readonly #size: (row: number) => number;
  /** Rows that were tested. */
  tested = 0;
  passed = 0;

  constructor(open: OpenSelection, pacer: Pacer) {
    const { view, ready } = open;
    this.#open = open;
    this.#pacer = pacer;
    this.#tested = new Uint32Array(wordCount(view.rowCount));
    this.#passing = new Uint32Array(wordCount(view.rowCount));
    const before = ready.filters.sizeBefore?.(rowSource(view, ready.schema), ready.filter.fields);
    this.#size = before === undefined ? () => 1 : (row) => before(row + 1) - before(row);
  }

  /** Of rows that were tested. */
  passes(row: number): boolean {
    return hasBit(this.#passing, row);
  }

  /** In any order; a row may stand there several times. */
  async test(rows: Uint32Array): Promise<void> {
    let block: number[] = [];
    let size = 0;
    for (const row of rows) {
      if (hasBit(this.#tested, row)) continue;
      setBit(this.#tested, row);
      block.push(row);
      size += this.#size(row);
      if (block.length < BLOCK_ROWS && size < BLOCK_SIZE) continue;
      await this.#testBlock(block);
      block = [];
      size = 0;
    }
    if (block.length > 0) await this.#testBlock(block);
  }

  async #testBlock(block: readonly number[]): Promise<void> {
    const { view, ready, rest } = this.#open;
    const { filter, filters, schema, workers } = ready;
    const refs = { units: new Uint32Array(block.length), rows: Uint32Array.from(block) };
    const fields = filter.fields.map((fieldId) => requireField(schema, fieldId));
    const options = { pacer: this.#pacer, maxBytes: Number.POSITIVE_INFINITY };
    const { columns } = await gatherRows([view], refs, fields, options);
    const column = (fieldId: FieldId) => present(columns.get(fieldId), 'a field the filter reads');
    const source: FilterSource = { rowCount: block.length, column, cache: new Map() };
    await prepareMatches(filter.matches ?? [], undefined, source, { pacer: this.#pacer, workers });
    let within = firstBits(block.length);
    for (const { compiled } of rest)
      within = await scanned(filters, filter, { compiled, source, within, pacer: this.#pacer });
    for (const [at, row] of block.entries())
      if (hasBit(within, at)) {
        setBit(this.#passing, row);
        this.passed++;
      }
    this.tested += block.length;
  }
}

/** Some of the rows of a set, spread over it: one of each of `wanted` equal parts, by chance. The same for the same set. */
export async function spreadRows(
  rows: Uint32Array,
  count: number,
  wanted: number,
  pacer: Pacer,
): Promise<Uint32Array> {
  const random = seededRandom(count);
  const picked = new Uint32Array(Math.min(wanted, count));
  const placeOf = (i: number): number => Math.floor(((i + random.next()) * count) / picked.length);
  let before = 0;
  let next = 0;
  let place = placeOf(0);
  for (let word = 0; word < rows.length && next < picked.length; word++) {
    const inWord = popcount(rows[word] as number);
    if (place < before + inWord) {
      let at = before;
      forEachRow(rows, word, word + 1, (row) => {
        if (at++ !== place || next >= picked.length) return;
        picked[next++] = row;
        place = placeOf(next);
      });
    }
    before += inWord;
    if (word % 16_384 === 0) await pacer.spend(16_384 * COST_PER_WORD);
  }
  return picked.subarray(0, next);
}

function firstBits(count: number): Uint32Array {
  const bits = new Uint32Array(wordCount(count)).fill(0xffffffff);
  if (count % 32 !== 0) bits[bits.length - 1] = 2 ** (count % 32) - 1;
  return bits;
}
