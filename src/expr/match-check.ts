/** Types TEXT_MATCH(field, 'words', minimum_should_match = n) and PHRASE_MATCH(field, 'words', slop). */
import { fieldAnalyzer, isMatched } from '../text/field-analyzers.ts';
import type { MatchMode } from '../text/match.ts';
import { constantOf } from './check-value.ts';
import type { MatchLeaf } from './predicate.ts';
import type { Scope } from './scope.ts';
import type { Syntax } from './syntax.ts';

type Call = Extract<Syntax, { kind: 'call' }>;

/** UTF-16 units of what is matched. */
const MAX_TEXT = 65_536;
const MAX_LEAST = 1000n;
const MAX_SLOP = 2n ** 31n - 1n;
const LEAST = 'minimum_should_match';

export function matchOf(scope: Scope, node: Call): MatchLeaf {
  const [field, words, third, ...more] = node.args;
  if (scope.isOverItems) throw scope.fail(node.at, `${node.name} is for fields, not for items of arrays`);
  const isPhrase = node.name.toLowerCase() === 'phrase_match';
  if (field === undefined || words === undefined || more.length > 0)
    throw scope.fail(
      node.at,
      `${node.name} takes a field, a string and ${isPhrase ? 'a slop' : `${LEAST} = n`}`,
    );
  const { fieldId, params } = fieldOf(scope, field, node.name);
  const text = constantOf(scope, words);
  if (typeof text !== 'string') throw scope.fail(words.at, `${node.name} looks for a string`);
  if (text.length > MAX_TEXT)
    throw scope.fail(words.at, `${node.name} looks for at most ${MAX_TEXT} characters`);
  const mode = isPhrase ? phraseMode(scope, third) : termsMode(scope, third);
  return scope.noteMatch({ kind: 'match', fieldId, params, text, mode });
}

function fieldOf(scope: Scope, node: Syntax, name: string): Pick<MatchLeaf, 'fieldId' | 'params'> {
  const field = node.kind === 'name' && node.keys.length === 0 ? scope.field(node.name) : undefined;
  if (field === undefined || field.dataType !== 'VarChar')
    throw scope.fail(node.at, `${name} is for VarChar fields`);
  if (!isMatched(field)) throw scope.fail(node.at, `field '${field.name}' does not enable match`);
  const params = field.typeParams['analyzer_params'] ?? '';
  // Of a field whose analyzer is not served here nothing can be said.
  fieldAnalyzer(field);
  return { fieldId: field.fieldId, params };
}

function termsMode(scope: Scope, node: Syntax | undefined): MatchMode {
  if (node === undefined) return { kind: 'terms', least: 1 };
  if (node.kind !== 'named' || node.name.toLowerCase() !== LEAST)
    throw scope.fail(node.at, `the third argument of TEXT_MATCH is ${LEAST} = n`);
  return { kind: 'terms', least: integerOf(scope, node.value, 1n, MAX_LEAST, LEAST) };
}

const phraseMode = (scope: Scope, node: Syntax | undefined): MatchMode => ({
  kind: 'phrase',
  slop:
    node === undefined
      ? 0
      : integerOf(scope, node.kind === 'named' ? node.value : node, 0n, MAX_SLOP, 'slop'),
});

function integerOf(scope: Scope, node: Syntax, least: bigint, most: bigint, name: string): number {
  const value = constantOf(scope, node);
  if (typeof value !== 'bigint' || value < least || value > most)
    throw scope.fail(node.at, `${name} is an integer from ${least} to ${most}`);
  return Number(value);
}
