import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CollectionRecord } from '../../model/records.ts';
import { asideName, checkCollectionName, isAside, keptName } from '../collections/names.ts';
import type { CopyJob } from '../copy-segment/job.ts';
import { type SwapStage, swapMachine } from '../copy-segment/state.ts';
import {
  type Decision,
  decideSettle,
  decideSwap,
  type SettleStep,
  type SwapStep,
  type SwapView,
} from './swap.ts';

const collection = (collectionId: bigint, name: string, more: object = {}): CollectionRecord =>
  ({ collectionId, databaseId: 1n, name, load: 'none', ...more }) as unknown as CollectionRecord;

const old = collection(1n, 'words');
const aside = collection(2n, 'words#9');
const other = collection(3n, 'words');

const view = (stage: SwapStage, more: Partial<SwapView> = {}): SwapView => ({
  purpose: { kind: 'in-place', stage, name: 'words', keptName: 'words_before_9' },
  job: { databaseId: 1n, state: stage === 'copying' ? 'executing' : 'completed' } as unknown as CopyJob,
  source: old,
  target: aside,
  holder: old,
  isAlias: false,
  aliases: { source: 0, target: 0 },
  ...more,
});

const loaded = { ...old, load: 'loaded' } as const;
const failing = (kind: SwapStep) => (kind.kind === 'fail' ? kind.reason : kind.kind);

const swaps: readonly [string, Partial<SwapView>, boolean, string | RegExp][] = [
  ['nothing is in the way', {}, false, 'swap'],
  ['the target is gone', { target: undefined }, false, 'none'],
  ['both are gone', { target: undefined, source: undefined }, false, 'none'],
  ['the old one is loaded, the target not', { source: loaded }, false, 'load'],
  ['both are loaded', { source: loaded }, true, 'swap'],
  ['the old one was released', {}, true, 'swap'],
  ['the old one was dropped', { source: undefined, holder: undefined }, false, 'take'],
  ['dropped, and made again', { source: undefined, holder: other }, false, /dropped, and another/],
  ['renamed', { source: collection(1n, 'w2'), holder: undefined }, false, /renamed to 'w2'/],
  ['renamed and loaded', { source: { ...loaded, name: 'w2' } }, true, /renamed to 'w2'/],
  [
    'the old one was dropped, and its name is an alias now',
    { source: undefined, holder: other, isAlias: true },
    false,
    /dropped, and another/,
  ],
  ['moved', { source: collection(1n, 'words', { databaseId: 5n }) }, false, /renamed/],
];
for (const [name, more, isLoadedAhead, expected] of swaps)
  test(`swap: ${name}`, () => {
    const got = failing(decideSwap(view('copying', more), isLoadedAhead));
    if (typeof expected === 'string') assert.equal(got, expected);
    else assert.match(got, expected);
  });

const kept = collection(1n, 'words_before_9');
const restored = collection(2n, 'words');
const settled = { source: kept, target: restored, holder: restored };
const wanted: readonly [string, SwapStage, Decision, Partial<SwapView>, SettleStep | RegExp][] = [
  ['before the swap', 'copying', 'confirm', {}, /not swapped yet/],
  [
    'with aliases of its own',
    'swapped',
    'confirm',
    { ...settled, aliases: { source: 1, target: 0 } },
    /has aliases/,
  ],
  ['its name is an alias now', 'swapped', 'revert', { ...settled, isAlias: true }, /is an alias now/],
  [
    'too many aliases',
    'swapped',
    'revert',
    { ...settled, aliases: { source: 60, target: 60 } },
    /more than 100 aliases/,
  ],
  [
    'moved, with aliases',
    'swapped',
    'revert',
    { ...settled, source: { ...kept, databaseId: 5n as never }, aliases: { source: 1, target: 0 } },
    /another database/,
  ],
  ['before the swap', 'copying', 'revert', {}, /not swapped yet/],
  ['again', 'confirmed', 'confirm', settled, { kind: 'none' }],
  ['after a confirm', 'confirmed', 'revert', settled, /was given up/],
  ['after a revert', 'reverted', 'confirm', settled, /has its name back/],
  ['again', 'reverted', 'revert', settled, { kind: 'none' }],
  ['the old one is kept', 'swapped', 'confirm', settled, { kind: 'confirm', drop: kept }],
  [
    'the old one is gone',
    'swapped',
    'confirm',
    { ...settled, source: undefined },
    { kind: 'confirm', drop: undefined },
  ],
  [
    'the old one was renamed',
    'swapped',
    'confirm',
    { ...settled, source: collection(1n, 'mine') },
    { kind: 'confirm', drop: undefined },
  ],
  ['both are there', 'swapped', 'revert', settled, { kind: 'revert', back: kept, drop: restored }],
  ['the old one is gone', 'swapped', 'revert', { ...settled, source: undefined }, /was dropped/],
  [
    'the restored one is gone',
    'swapped',
    'revert',
    { ...settled, target: undefined, holder: undefined },
    { kind: 'revert', back: kept, drop: undefined },
  ],
  [
    'the restored one is gone, the old one was renamed back',
    'swapped',
    'revert',
    { source: old, target: undefined, holder: old },
    { kind: 'revert', back: old, drop: undefined },
  ],
  [
    'the restored one is gone, another has the name',
    'swapped',
    'revert',
    { source: kept, target: undefined, holder: other },
    /another collection is called 'words'/,
  ],
  [
    'the restored one was renamed',
    'swapped',
    'revert',
    { ...settled, target: collection(2n, 'r'), holder: undefined },
    { kind: 'revert', back: kept, drop: undefined },
  ],
  [
    'another has the name',
    'swapped',
    'revert',
    { ...settled, holder: other },
    /another collection is called 'words'/,
  ],
  [
    'the old one was renamed back',
    'swapped',
    'revert',
    { source: old, target: collection(2n, 'r'), holder: old },
    { kind: 'revert', back: old, drop: undefined },
  ],
];
for (const [name, stage, decision, more, expected] of wanted)
  test(`${decision} when ${stage}: ${name}`, () => {
    const got = decideSettle(view(stage, more), decision);
    if (expected instanceof RegExp) assert.match(got.kind === 'refuse' ? got.why : got.kind, expected);
    else assert.deepEqual(got, expected);
  });

test('revert loads the old collection first when readers of the name have a loaded one', () => {
  const target = { ...restored, load: 'loaded' } as const;
  const step = decideSettle(view('swapped', { source: kept, target, holder: target }), 'revert');
  assert.deepEqual(step, { kind: 'load', collection: kept });
  const back = { ...kept, load: 'loaded' } as const;
  assert.deepEqual(decideSettle(view('swapped', { source: back, target, holder: target }), 'revert'), {
    kind: 'revert',
    back,
    drop: target,
  });
});

test('what has failed is refused with the reason it failed for', () => {
  const job = { state: 'failed', reason: 'a file is missing' } as CopyJob;
  const step = decideSettle(view('copying', { job }), 'revert');
  assert.ok(step.kind === 'refuse' && /it has failed: a file is missing/.test(step.why));
});

test('the stages of a swap: swapped once, then confirmed or reverted for good', () => {
  const { table } = swapMachine;
  const allowed = Object.entries(table).flatMap(([from, events]) =>
    Object.entries(events).flatMap(([event, to]) => (to === null ? [] : [`${from} ${event} ${to}`])),
  );
  assert.deepEqual(allowed, [
    'copying swap swapped',
    'copying take confirmed',
    'swapped confirm confirmed',
    'swapped revert reverted',
  ]);
});

test('an aside name is no name a user can give; a kept name is one, at any length, and free', () => {
  const name = 'w'.repeat(255);
  assert.equal(isAside(asideName(name, 9n as never)), true);
  assert.throws(() => checkCollectionName(asideName('w', 9n as never)));
  assert.equal(
    keptName('words', 9n as never, () => false),
    'words_before_9',
  );
  const taken = new Set([keptName(name, 9n as never, () => false)]);
  const second = keptName(name, 9n as never, (each) => taken.has(each));
  for (const each of [...taken, second]) {
    checkCollectionName(each);
    assert.equal(each.length, 255);
    assert.equal(isAside(each), false);
  }
  assert.equal(taken.has(second), false);
});

const names = fc.constantFrom('words', 'words_before_9', 'mine', 'words#9');
const some = (id: bigint) =>
  fc.option(
    fc
      .tuple(names, fc.constantFrom('none', 'loaded'), fc.constantFrom(1n, 5n))
      .map(([name, load, databaseId]) => collection(id, name, { load, databaseId })),
    { nil: undefined },
  );
/** Collections as any renaming, dropping and loading may leave them; of a name there is one in the database. */
const anyView = fc
  .record({
    stage: fc.constantFrom<SwapStage>('copying', 'swapped', 'confirmed', 'reverted'),
    source: some(1n),
    target: some(2n),
    stranger: some(3n),
    jobState: fc.constantFrom('executing', 'completed', 'failed'),
  })
  .map(({ stage, source, target, stranger, jobState }) => {
    const all = [source, target, stranger].filter((each) => each !== undefined);
    const holder = all.find(({ name, databaseId }) => name === 'words' && databaseId === 1n);
    const job = { databaseId: 1n, state: jobState, reason: 'x' } as unknown as CopyJob;
    return { ...view(stage), source, target, holder, job };
  });

test('whatever became of the collections: a swap is one step or a reason, takes no name of a stranger, and never loses a loaded one', () => {
  fc.assert(
    fc.property(anyView, fc.boolean(), (now, isLoadedAhead) => {
      const step = decideSwap(now, isLoadedAhead);
      assert.deepEqual(decideSwap(now, isLoadedAhead), step);
      const isStranger = now.holder !== undefined && now.holder.collectionId === 3n;
      switch (step.kind) {
        case 'none':
          return assert.equal(now.target, undefined);
        case 'take':
          return assert.ok(now.source === undefined && now.holder === undefined);
        case 'load':
          return assert.ok(!isLoadedAhead && now.source?.load === 'loaded');
        case 'swap':
          assert.ok(now.source?.name === 'words' && now.source.databaseId === 1n);
          return assert.ok(isLoadedAhead || now.source.load !== 'loaded');
        case 'fail':
          return assert.ok(
            isStranger ||
              now.source === undefined ||
              now.source.name !== 'words' ||
              now.source.databaseId !== 1n,
          );
      }
    }),
    { seed: 1, numRuns: 3000 },
  );
});

test('whatever became of the collections: a decision drops at most what the restore made or kept, never a stranger, and is nothing when repeated', () => {
  fc.assert(
    fc.property(anyView, fc.constantFrom<Decision>('confirm', 'revert'), (now, decision) => {
      const step = decideSettle(now, decision);
      const { stage } = now.purpose;
      if (step.kind === 'confirm') {
        assert.equal(stage, 'swapped');
        assert.ok(
          step.drop === undefined || (step.drop === now.source && step.drop.name === now.purpose.keptName),
        );
      } else if (step.kind === 'revert') {
        assert.equal(stage, 'swapped');
        assert.equal(step.back, now.source);
        assert.ok(step.drop === undefined || (step.drop === now.target && now.holder?.collectionId === 2n));
        assert.notEqual(now.holder?.collectionId, 3n);
      } else if (step.kind === 'load')
        assert.ok(stage === 'swapped' && step.collection === now.source && step.collection.load !== 'loaded');
      const done = { confirm: 'confirmed', revert: 'reverted' } as const;
      assert.equal(step.kind === 'none', stage === done[decision]);
      // Its machine allows what is decided.
      if (step.kind === 'confirm' || step.kind === 'revert')
        assert.equal(swapMachine.next(stage, step.kind), done[decision]);
    }),
    { seed: 2, numRuns: 3000 },
  );
});
