import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MetricType } from '../model/metric.ts';
import type { Boosts, Decay, Fusion } from './api.ts';
import { boostedScore, decayFactor, fuse, normalizedScore, randomShare, risingScore } from './rank.ts';

const near = (found: number, wanted: number): void =>
  assert.ok(Math.abs(found - wanted) < 1e-9, `${found}, not ${wanted}`);

test('a normalized score lies from 0 to 1 and keeps the order of its metric', () => {
  const metrics: readonly MetricType[] = ['L2', 'IP', 'COSINE', 'BM25', 'HAMMING', 'JACCARD', 'MAX_SIM_L2'];
  fc.assert(
    fc.property(
      fc.constantFrom(...metrics),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (metric, a, b) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)];
        const isDistance = normalizedScore(metric, 0) > normalizedScore(metric, 1);
        const [first, second] = [normalizedScore(metric, low), normalizedScore(metric, high)];
        assert.ok(first >= 0 && first <= 1 && second >= 0 && second <= 1);
        assert.ok(isDistance ? first >= second : first <= second);
      },
    ),
    { seed: 1 },
  );
  near(normalizedScore('L2', 1), 0.5);
  near(normalizedScore('COSINE', -1), 0);
  near(normalizedScore('IP', 0), 0.5);
  near(normalizedScore('BM25', 0), 0);
  near(risingScore('IP', 7, false), 7);
  near(risingScore('L2', 1, false), 0.5);
});

const decay = (curve: Decay['curve'], more: Partial<Decay> = {}): Decay => ({
  kind: 'decay',
  fieldId: 1 as Decay['fieldId'],
  curve,
  origin: 100,
  scale: 10,
  offset: 5,
  decay: 0.3,
  isNormalized: false,
  merge: 'max',
  ...more,
});

for (const curve of ['gauss', 'exp', 'linear'] as const)
  test(`a ${curve} decay is 1 up to the offset, the decay at offset and scale, and falls on both sides; null is far away`, () => {
    const factor = (value: number | undefined) => decayFactor(decay(curve), value);
    for (const value of [95, 100, 105]) near(factor(value), 1);
    for (const value of [85, 115]) near(factor(value), 0.3);
    assert.equal(factor(undefined), 0);
    assert.equal(factor(Number.NaN), 0);
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 100, noNaN: true }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        (a, b) => {
          const [close, far] = [Math.min(a, b), Math.max(a, b)];
          assert.ok(factor(100 + close) >= factor(100 + far));
          near(factor(100 - far), factor(100 + far));
        },
      ),
      { seed: 2 },
    );
    assert.equal(factor(1e6) === 0, curve !== 'exp' || 0.3 ** ((1e6 - 105) / 10) === 0);
  });

test('boosts multiply or add the weights of those that match, and then the score; without a match it stays', () => {
  const boosts = (functionMode: Boosts['functionMode'], boostMode: Boosts['boostMode']): Boosts => ({
    boosts: [],
    functionMode,
    boostMode,
  });
  assert.equal(boostedScore(boosts('multiply', 'multiply'), 3, []), 3);
  assert.equal(boostedScore(boosts('multiply', 'multiply'), 3, [2, 5]), 30);
  assert.equal(boostedScore(boosts('sum', 'multiply'), 3, [2, 5]), 21);
  assert.equal(boostedScore(boosts('multiply', 'sum'), 3, [2, 5]), 13);
  assert.equal(boostedScore(boosts('sum', 'sum'), 3, [2, 5]), 10);
});

test('chance lies from 0 to 1, is the same for the same seed and value, and spreads evenly', () => {
  const shares = Array.from({ length: 2000 }, (_, i) => randomShare(7n, BigInt(i)));
  assert.ok(shares.every((share) => share >= 0 && share < 1));
  assert.deepEqual(
    shares,
    Array.from({ length: 2000 }, (_, i) => randomShare(7n, BigInt(i))),
  );
  assert.notEqual(randomShare(8n, 1n), randomShare(7n, 1n));
  const tenths = shares.reduce(
    (counts, share) => counts.with(Math.floor(share * 10), (counts[Math.floor(share * 10)] ?? 0) + 1),
    new Array<number>(10).fill(0),
  );
  assert.ok(
    tenths.every((count) => count > 140 && count < 260),
    tenths.join(),
  );
});

const list = fc.record({
  keys: fc.array(fc.nat(12), { maxLength: 10 }),
  metric: fc.constantFrom<MetricType>('L2', 'IP', 'COSINE'),
});

test('fused lists hold every key once, with the sum or merge of what each list says of its first place', () => {
  const fusions: readonly Fusion[] = [
    { kind: 'rrf', k: 60 },
    { kind: 'weighted', weights: [0.2, 0.7, 1], isNormalized: true },
    { kind: 'weighted', weights: [1, 0, 0.5], isNormalized: false },
    ...(['max', 'sum', 'avg'] as const).map((merge) => decay('exp', { merge })),
  ];
  fc.assert(
    fc.property(fc.array(list, { maxLength: 3 }), fc.constantFrom(...fusions), (given, fusion) => {
      const lists = given.map(({ keys, metric }) => ({
        keys,
        metric,
        scores: keys.map((_, i) => 1 / (i + 1)),
      }));
      const wanted = new Map<number, number[]>();
      for (const [i, { keys, scores, metric }] of lists.entries())
        for (const key of new Set(keys)) {
          const at = keys.indexOf(key);
          const score = scores[at] ?? 0;
          const part =
            fusion.kind === 'rrf'
              ? 1 / (fusion.k + at + 1)
              : risingScore(metric, score, fusion.isNormalized) *
                (fusion.kind === 'weighted' ? (fusion.weights[i] ?? 0) : 1);
          wanted.set(key, [...(wanted.get(key) ?? []), part]);
        }
      const found = fuse(lists, fusion);
      assert.equal(found.length, wanted.size);
      for (const { list: i, at, score } of found) {
        const parts = wanted.get(lists[i]?.keys[at] ?? -1) ?? [];
        const sum = parts.reduce((all, part) => all + part, 0);
        const how = fusion.kind === 'decay' ? fusion.merge : 'sum';
        near(score, how === 'max' ? Math.max(...parts) : how === 'sum' ? sum : sum / parts.length);
      }
    }),
    { seed: 3, numRuns: 300 },
  );
});
