/** `random_sample(f)`: a part of the rows that match everything else, taken by chance. */
import { constantOf } from './check-value.ts';
import type { Scope } from './scope.ts';
import type { Syntax } from './syntax.ts';

/** In any case, as Milvus has it. */
export const isSample = (node: Syntax): boolean =>
  node.kind === 'call' && node.name.toLowerCase() === 'random_sample';

/** The part to take, and what is left of the filter; it stands alone or in the outermost `and`. */
export function sampleOf(
  scope: Scope,
  root: Syntax,
): { readonly sample?: number; readonly rest: Syntax | undefined } {
  const items = root.kind === 'and' ? root.items : [root];
  const samples = items.filter(isSample);
  const [sample, second] = samples;
  if (sample === undefined) return { rest: root };
  if (second !== undefined) throw scope.fail(second.at, 'random_sample stands once in a filter');
  const rest = items.filter((item) => item !== sample);
  const [only] = rest;
  return {
    sample: partOf(scope, sample),
    rest: rest.length < 2 ? only : { kind: 'and', at: root.at, height: root.height, items: rest },
  };
}

function partOf(scope: Scope, node: Syntax): number {
  const [argument, ...more] = node.kind === 'call' ? node.args : [];
  const part = argument === undefined || more.length > 0 ? undefined : constantOf(scope, argument);
  if (typeof part !== 'number' || !(part > 0 && part < 1))
    throw scope.fail(argument?.at ?? node.at, 'random_sample takes a number above 0 and below 1');
  return part;
}
