/** The lexical highlighter of a search: shows why a row was found. Changes neither the hits nor their scores. */
import { DbError } from '../../errors/db-error.ts';
import { holdsTerms } from '../../model/functions.ts';
import type { FieldId } from '../../model/ids.ts';
import type { Properties } from '../../model/records.ts';
import type { CollectionSchema, FieldSchema } from '../../model/schema.ts';
import type { SearchResult } from '../../querynode/api.ts';
import { present } from '../../support/assert.ts';
import { isShallow, parseJson } from '../../support/json.ts';
import { eachStep, inTurns } from '../../support/slices.ts';
import { isAnalyzed } from '../../text/field-analyzers.ts';
import { type HighlightRules, highlighted } from '../../text/highlight.ts';
import { textReader } from '../../text/row-texts.ts';
import type { CallContext } from '../context.ts';
import type { CommonHighlighter } from '../wire/descriptor.generated.ts';
import { flattenParams, integerParam } from '../wire/key-values.ts';
import { placeholderTexts } from '../wire/placeholder.ts';
import type { Highlight } from '../wire/results.ts';
import { analyzeTexts } from './analysis.ts';
import { analyzerParamsOf, inputOf, type Searched } from './full-text.ts';

const SEMANTIC = 1;
const MAX_TAGS = 64;
const MAX_TAG_LENGTH = 256;
const MAX_PIECES = 100;
const MAX_SIZE = 65_536;
const MAX_QUERIES = 64;
const MAX_QUERY_LENGTH = 65_536;
/** UTF-16 units of all pieces of an answer. */
const MAX_ANSWER = 32 << 20;
/** Texts of one turn. */
const TEXTS_PER_TURN = 64;

const invalid = (message: string): DbError => new DbError('parameter-invalid', message);

/** Words to be marked in one field. */
interface FieldWords {
  readonly field: FieldSchema;
  readonly params: string;
  /** Marked in the hits of every query. */
  readonly always: string[];
  /** Marked in the hits of one. */
  readonly byQuery: readonly string[];
}

export interface Highlighting {
  readonly rules: HighlightRules;
  readonly fields: readonly FieldWords[];
}

/** Throws `parameter-invalid`, `unimplemented`. */
export function highlightingOf(wire: CommonHighlighter, searched: Searched): Highlighting {
  if (wire.type === SEMANTIC) throw new DbError('unimplemented', 'a semantic highlighter is not implemented');
  const params = flattenParams(wire.params);
  const fields = new Map<FieldId, FieldWords>();
  const wordsOf = (field: FieldSchema, byQuery: readonly string[] = []): FieldWords => {
    const known = fields.get(field.fieldId) ?? {
      field,
      params: analyzerParamsOf(field, searched.params['analyzer_name']),
      always: [],
      byQuery,
    };
    fields.set(field.fieldId, known);
    return known;
  };
  if (/^true$/i.test(params['highlight_search_text'] ?? ''))
    wordsOf(searchedText(searched), placeholderTexts(searched.placeholders));
  for (const { name, text } of queriesOf(params)) wordsOf(textField(searched.schema, name)).always.push(text);
  if (fields.size === 0)
    throw invalid('a highlighter needs highlight_search_text or highlight_query: what is to be highlighted');
  return { rules: rulesOf(params), fields: [...fields.values()] };
}

function searchedText({ schema, field }: Searched): FieldSchema {
  if (!holdsTerms(field))
    throw invalid(`highlight_search_text is for a BM25 search, field ${field.name} is searched otherwise`);
  return inputOf(schema, field);
}

function textField({ fields }: CollectionSchema, name: string): FieldSchema {
  const field = fields.find((each) => each.name === name);
  if (field === undefined) throw new DbError('field-not-found', `field not found[field=${name}]`);
  if (field.dataType !== 'VarChar' || !isAnalyzed(field))
    throw invalid(`field ${name} cannot be highlighted: it has no analyzer`);
  return field;
}

function rulesOf(params: Properties): HighlightRules {
  const within = (name: string, fallback: number, least: number, most: number): number => {
    const value = integerParam(params, name) ?? fallback;
    if (value < least || value > most) throw invalid(`${name} is from ${least} to ${most}`);
    return value;
  };
  return {
    preTags: tagsOf(params, 'pre_tags', '<em>'),
    postTags: tagsOf(params, 'post_tags', '</em>'),
    offset: within('fragment_offset', 0, 0, MAX_SIZE),
    size: within('fragment_size', 100, 1, MAX_SIZE),
    pieces: within('num_of_fragments', 5, 1, MAX_PIECES),
  };
}

function tagsOf(params: Properties, name: string, fallback: string): readonly string[] {
  const text = params[name];
  if (text === undefined) return [fallback];
  const tags = jsonList(name, text);
  const isSound = tags.every((tag) => typeof tag === 'string' && tag.length <= MAX_TAG_LENGTH);
  if (tags.length === 0 || tags.length > MAX_TAGS || !isSound)
    throw invalid(`${name} are 1 to ${MAX_TAGS} strings of at most ${MAX_TAG_LENGTH} characters`);
  return tags as string[];
}

function queriesOf(params: Properties): readonly { readonly name: string; readonly text: string }[] {
  const given = params['highlight_query'];
  if (given === undefined) return [];
  const queries = jsonList('highlight_query', given);
  if (queries.length > MAX_QUERIES) throw invalid(`at most ${MAX_QUERIES} queries are highlighted`);
  return queries.map((query) => {
    const { type, field, text } = (query ?? {}) as Readonly<Record<string, unknown>>;
    if (type !== 'TextMatch')
      throw invalid(`highlight_query has the type TextMatch, not ${String(type).slice(0, 40)}`);
    if (typeof field !== 'string' || typeof text !== 'string')
      throw invalid('highlight_query names a field and a text');
    if (text.length > MAX_QUERY_LENGTH) throw invalid('the text of highlight_query is too long');
    return { name: field, text };
  });
}

function jsonList(name: string, text: string): readonly unknown[] {
  try {
    const value = parseJson(text);
    if (Array.isArray(value) && isShallow(value, 3)) return value;
  } catch (cause) {
    throw new DbError('parameter-invalid', `${name} of the highlighter is not JSON`, { cause });
  }
  throw invalid(`${name} of the highlighter is a list`);
}

/** The fields to be read for it besides those that are shown. */
export const highlightedIds = (highlighting: Highlighting | undefined): readonly FieldId[] =>
  highlighting?.fields.map(({ field }) => field.fieldId) ?? [];

/** The pieces of each hit, field by field. */
export async function highlightsOf(
  call: CallContext,
  highlighting: Highlighting | undefined,
  result: SearchResult,
): Promise<readonly Highlight[]> {
  const answers: Highlight[] = [];
  for (const words of highlighting?.fields ?? [])
    answers.push(await fieldHighlights(call, present(highlighting, 'the rules').rules, words, result));
  return answers;
}

async function fieldHighlights(
  call: CallContext,
  rules: HighlightRules,
  { field, params, always, byQuery }: FieldWords,
  { counts, rows }: SearchResult,
): Promise<Highlight> {
  const read = textReader(rows.columns.get(field.fieldId));
  const texts = Array.from({ length: rows.rowCount }, (_, row) => read(row));
  const asked = [...always, ...byQuery];
  const all = [...asked, ...texts];
  const tokens = await analyzeTexts(call, { params: all.map(() => params), texts: all });
  const termsOf = (from: number, to: number): string[] =>
    tokens.slice(from, to).flatMap((each) => each.map(({ text }) => text));
  const common = termsOf(0, always.length);
  const hits: string[][] = [];
  let length = 0;
  for (const [query, count] of counts.entries()) {
    const at = always.length + query;
    const own = query < byQuery.length ? termsOf(at, at + 1) : [];
    const terms = new Set([...common, ...own]);
    const from = hits.length;
    const work = eachStep(
      texts.slice(from, from + count),
      (text, i) => {
        const pieces = highlighted(text, tokens[asked.length + from + i] ?? [], terms, rules);
        length += pieces.reduce((sum, piece) => sum + piece.length, 0);
        if (length > MAX_ANSWER)
          throw new DbError(
            'parameter-too-large',
            'the highlights are too long: ask for fewer or shorter ones',
          );
        hits.push(pieces);
      },
      TEXTS_PER_TURN,
    );
    await inTurns(work);
  }
  return { field: field.name, hits };
}
