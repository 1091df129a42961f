/** Pieces of a text around the terms that were looked for, the terms marked. Lengths count characters, not marks. */
import type { Token } from './token.ts';

export interface HighlightRules {
  /** Put before and behind a term, in turn where there are several. */
  readonly preTags: readonly string[];
  readonly postTags: readonly string[];
  /** Characters of the text before the first term of a piece. */
  readonly offset: number;
  /** Characters of a piece. */
  readonly size: number;
  readonly pieces: number;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Pieces follow one another; each begins before a term that no piece has yet. */
export function highlighted(
  text: string,
  tokens: readonly Token[],
  terms: ReadonlySet<string>,
  rules: HighlightRules,
): string[] {
  const spans = spansOf(tokens, terms);
  const pieces: string[] = [];
  let marks = 0;
  let from = 0;
  for (let at = 0; at < spans.length && pieces.length < rules.pieces; ) {
    const start = Math.max(from, backFrom(text, (spans[at] as Span).start, rules.offset));
    // A term that is longer than a piece may be is a piece.
    const end = Math.max(onFrom(text, start, rules.size), (spans[at] as Span).end);
    let piece = '';
    let told = start;
    for (let span = spans[at]; span !== undefined && span.end <= end; span = spans[++at]) {
      const pre = rules.preTags[marks % rules.preTags.length] ?? '';
      const post = rules.postTags[marks % rules.postTags.length] ?? '';
      piece += `${text.slice(told, span.start)}${pre}${text.slice(span.start, span.end)}${post}`;
      told = span.end;
      marks++;
    }
    const next = spans[at];
    // A term that begins here and ends behind is the next piece's.
    from = next !== undefined && next.start < end ? next.start : end;
    pieces.push(piece + text.slice(told, from));
  }
  return pieces;
}

/** Where the terms stand, without those that lie inside of others. */
function spansOf(tokens: readonly Token[], terms: ReadonlySet<string>): Span[] {
  const found = tokens.filter((token) => terms.has(token.text) && token.end > token.start);
  const ordered = found.toSorted((a, b) => a.start - b.start || b.end - a.end);
  const spans: Span[] = [];
  for (const { start, end } of ordered) {
    const last = spans.at(-1);
    if (last === undefined || start >= last.end) spans.push({ start, end });
    else if (end > last.end) spans[spans.length - 1] = { start: last.start, end };
  }
  return spans;
}

/** So many characters on from `at`; a pair of surrogates is one. */
function onFrom(text: string, at: number, characters: number): number {
  let to = at;
  for (let left = characters; left > 0 && to < text.length; left--)
    to += (text.codePointAt(to) ?? 0) > 0xffff ? 2 : 1;
  return to;
}

/** So many characters back. */
function backFrom(text: string, at: number, characters: number): number {
  let to = at;
  for (let left = characters; left > 0 && to > 0; left--)
    to -= to > 1 && (text.codePointAt(to - 2) ?? 0) > 0xffff ? 2 : 1;
  return to;
}
