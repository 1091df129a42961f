/**
 * Analyzer parameters as Milvus names them, checked. A built-in analyzer (`type`) is a tokenizer and filters with names of its own; what
 * Milvus has and this server has not is refused by name.
 */
import { DbError } from '../errors/db-error.ts';
import { isShallow, parseJson } from '../support/json.ts';
import {
  alphanumonly,
  asciifolding,
  cnalphanumonly,
  cncharonly,
  decimaldigit,
  decompounder,
  ENGLISH_STOP_WORDS,
  length,
  lowercase,
  matching,
  removepunct,
  type StemmerLanguage,
  stemmer,
  stemmerLanguages,
  stop,
} from './filters.ts';
import { DEFAULT_DICT, jiebaTokenizer } from './jieba.ts';
import { regexTest } from './regex.ts';
import type { TokenFilter, Tokenizer } from './token.ts';
import { icuTokenizer, standardTokenizer, thaiTokenizer, whitespaceTokenizer } from './tokenizers.ts';

/** UTF-16 units of the parameters of one field: stop words and dictionaries of some ten thousand words. */
export const MAX_PARAMS_LENGTH = 256 * 1024;
const MAX_PARAMS_DEPTH = 8;
const MAX_FILTERS = 32;
const MAX_WORD_LENGTH = 256;

export interface Pipeline {
  readonly tokenizer: Tokenizer;
  readonly filters: readonly TokenFilter[];
  /** Its first text, or some texts, take long: it is for worker threads. */
  readonly isHeavy: boolean;
}

const invalid = (message: string): DbError =>
  new DbError('parameter-invalid', `invalid analyzer params: ${message}`);
const unserved = (what: string): DbError => new DbError('unimplemented', `${what} is not implemented`);

type Json = Readonly<Record<string, unknown>>;

/** JSON text to an object. Throws `parameter-invalid`, `parameter-too-large`. */
export function parseParams(text: string): Json {
  if (text.length > MAX_PARAMS_LENGTH)
    throw new DbError(
      'parameter-too-large',
      `analyzer params have ${text.length} characters, at most ${MAX_PARAMS_LENGTH} are allowed`,
    );
  let value: unknown;
  try {
    value = parseJson(text.trim() === '' ? '{}' : text);
  } catch (cause) {
    throw new DbError('parameter-invalid', `analyzer params are not JSON: ${text.slice(0, 100)}`, { cause });
  }
  if (!isObject(value)) throw invalid('they are a JSON object');
  if (!isShallow(value, MAX_PARAMS_DEPTH)) throw invalid('they are nested too deeply');
  return value;
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Throws `parameter-invalid` for what Milvus does not know, `unimplemented` for what it does. */
export function pipelineOf(params: Json): Pipeline {
  const { type, tokenizer, filter } = params;
  if (type !== undefined) {
    if (tokenizer !== undefined || filter !== undefined)
      throw invalid(`analyzer type ${String(type)} has its own tokenizer and filters`);
    return builtIn(type, params);
  }
  if (tokenizer === undefined) {
    if (filter !== undefined) throw invalid('filters need a tokenizer');
    return builtIn('standard', params);
  }
  onlyKeys(params, ['tokenizer', 'filter'], 'an analyzer');
  const cut = tokenizerOf(tokenizer);
  const filters = filtersOf(filter);
  return {
    ...cut,
    filters: filters.map(({ apply }) => apply),
    isHeavy: cut.isHeavy || filters.some(({ isHeavy }) => isHeavy),
  };
}

function onlyKeys(json: Json, known: readonly string[], what: string): void {
  const other = Object.keys(json).find((key) => !known.includes(key));
  if (other !== undefined) throw invalid(`${what} has no parameter ${other.slice(0, 60)}`);
}

const absentAnalyzers = new Set(['arabic', 'thai']);

function builtIn(type: unknown, params: Json): Pipeline {
  if (type === 'standard' || type === 'english') {
    onlyKeys(params, ['type', 'stop_words'], `the ${type} analyzer`);
    const own = params['stop_words'];
    const words =
      own === undefined ? (type === 'english' ? ENGLISH_STOP_WORDS : []) : stopWords(own, 'stop_words');
    const stops = words.length === 0 ? [] : [stop(new Set(words))];
    const filters = type === 'english' ? [lowercase, stemmer('english'), ...stops] : [lowercase, ...stops];
    return { tokenizer: standardTokenizer, filters, isHeavy: false };
  }
  if (type === 'chinese') {
    onlyKeys(params, ['type'], 'the chinese analyzer');
    return { ...tokenizerOf('jieba'), filters: [cnalphanumonly] };
  }
  if (typeof type === 'string' && absentAnalyzers.has(type)) throw unserved(`the ${type} analyzer`);
  throw invalid(`unknown analyzer type ${String(type).slice(0, 60)}`);
}

const absentTokenizers = new Set(['lindera', 'language_identifier', 'grpc']);

function tokenizerOf(given: unknown): Pick<Pipeline, 'tokenizer' | 'isHeavy'> {
  const json = isObject(given) ? given : { type: given };
  const { type } = json;
  if (type === 'jieba') return { tokenizer: jiebaOf(json), isHeavy: true };
  if (typeof type === 'string' && absentTokenizers.has(type)) throw unserved(`the ${type} tokenizer`);
  const simple = typeof type === 'string' ? simpleTokenizers.get(type) : undefined;
  if (simple === undefined) throw invalid(`unknown tokenizer ${String(type).slice(0, 60)}`);
  onlyKeys(json, ['type'], `the ${String(type)} tokenizer`);
  return { tokenizer: simple, isHeavy: false };
}

const simpleTokenizers: ReadonlyMap<string, Tokenizer> = new Map([
  ['standard', standardTokenizer],
  ['whitespace', whitespaceTokenizer],
  ['icu', icuTokenizer],
  ['thai', thaiTokenizer],
]);

function jiebaOf(json: Json): Tokenizer {
  onlyKeys(json, ['type', 'dict', 'mode', 'hmm'], 'the jieba tokenizer');
  const { dict = [DEFAULT_DICT], mode = 'search', hmm = true } = json;
  const words = wordList(dict, 'dict');
  if (words.includes('_extend_default_')) throw unserved('the dictionary _extend_default_ of jieba');
  const broken = words.find((word) => /\s/u.test(word) || word === '');
  if (broken !== undefined) throw invalid('the words of dict are not empty and have no spaces');
  if (mode !== 'exact' && mode !== 'search') throw invalid('the mode of jieba is exact or search');
  if (typeof hmm !== 'boolean') throw invalid('hmm is true or false');
  return jiebaTokenizer({ dict: words, mode, hmm });
}

interface NamedFilter {
  readonly apply: TokenFilter;
  /** What a client gives says how long it takes. */
  readonly isHeavy: boolean;
}

function filtersOf(given: unknown): readonly NamedFilter[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw invalid('filter is a list');
  if (given.length > MAX_FILTERS) throw invalid(`at most ${MAX_FILTERS} filters are allowed`);
  return given.map(filterOf);
}

const simpleFilters: ReadonlyMap<string, TokenFilter> = new Map([
  ['lowercase', lowercase],
  ['asciifolding', asciifolding],
  ['alphanumonly', alphanumonly],
  ['cnalphanumonly', cnalphanumonly],
  ['cncharonly', cncharonly],
  ['removepunct', removepunct],
  ['decimaldigit', decimaldigit],
]);
const absentFilters = new Set(['pinyin', 'arabic_normalization', 'synonym', 'stop_tags', 'keep_tags']);

const heavyFilters = new Set(['regex', 'decompounder']);

function filterOf(given: unknown): NamedFilter {
  const json = isObject(given) ? given : { type: given };
  const { type } = json;
  if (typeof type !== 'string') throw invalid('a filter is a name or an object with a type');
  const simple = simpleFilters.get(type);
  if (simple !== undefined) {
    onlyKeys(json, ['type'], `the ${type} filter`);
    return { apply: simple, isHeavy: false };
  }
  const make = Object.hasOwn(customFilters, type) ? customFilters[type] : undefined;
  if (make !== undefined) return { apply: make(json), isHeavy: heavyFilters.has(type) };
  if (absentFilters.has(type)) throw unserved(`the ${type} filter`);
  throw invalid(`unknown filter ${type.slice(0, 60)}`);
}

const customFilters: Readonly<Record<string, (json: Json) => TokenFilter>> = {
  stop(json) {
    onlyKeys(json, ['type', 'stop_words'], 'the stop filter');
    return stop(new Set(stopWords(json['stop_words'], 'stop_words')));
  },
  length(json) {
    onlyKeys(json, ['type', 'min', 'max'], 'the length filter');
    const { min = 0, max = Number.MAX_SAFE_INTEGER } = json;
    if (json['min'] === undefined && json['max'] === undefined) throw invalid('the length filter needs max');
    if (!isCount(min) || !isCount(max)) throw invalid('the bounds of the length filter are numbers');
    return length({ min, max });
  },
  stemmer(json) {
    onlyKeys(json, ['type', 'language'], 'the stemmer filter');
    const { language } = json;
    if (language === 'greek') throw unserved('the stemmer for greek');
    if (!stemmerLanguages.some((each) => each === language))
      throw invalid(`unknown language of the stemmer ${String(language).slice(0, 60)}`);
    return stemmer(language as StemmerLanguage);
  },
  decompounder(json) {
    onlyKeys(json, ['type', 'word_list'], 'the decompounder filter');
    const words = wordList(json['word_list'], 'word_list').filter((word) => word !== '');
    if (words.length === 0) throw invalid('the word_list of the decompounder is empty');
    return decompounder(new Set(words));
  },
  regex(json) {
    onlyKeys(json, ['type', 'expr'], 'the regex filter');
    const { expr } = json;
    if (typeof expr !== 'string') throw invalid('the regex filter needs expr');
    return matching(regexTest(expr));
  },
};

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function wordList(given: unknown, name: string): readonly string[] {
  const list = typeof given === 'string' ? [given] : given;
  if (!Array.isArray(list) || !list.every((word) => typeof word === 'string'))
    throw invalid(`${name} is a list of strings`);
  if (list.some((word: string) => word.length > MAX_WORD_LENGTH))
    throw invalid(`a word of ${name} has at most ${MAX_WORD_LENGTH} characters`);
  return list;
}

/** `_english_` stands for the English ones. */
const stopWords = (given: unknown, name: string): readonly string[] =>
  wordList(given, name).flatMap((word) => {
    if (word === '_english_') return ENGLISH_STOP_WORDS;
    if (/^_[a-z]+_$/.test(word)) throw unserved(`the stop words ${word}`);
    return [word];
  });
