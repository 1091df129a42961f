/** What every `Kv` must do. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../errors/db-error.ts';
import { type Kv, type KvOp, MAX_COMMIT_BYTES, MAX_OPS_PER_COMMIT } from './kv.ts';

const value = (text: string): Uint8Array => new TextEncoder().encode(text);
const put = (key: string, text: string): KvOp => ({ kind: 'put', key, value: value(text) });
const remove = (key: string): KvOp => ({ kind: 'delete', key });
const textOf = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);
const tooMuch = (error: unknown) => isDbError(error, 'resource-exhausted');

async function content(kv: Kv, prefix = ''): Promise<Record<string, string>> {
  return Object.fromEntries((await kv.range(prefix)).map((entry) => [entry.key, textOf(entry.value) ?? '']));
}

/** A fresh `Kv`, and a way to open the same content again after `close`. */
export interface KvPlace {
  open(): Promise<Kv>;
}

/** Runs the suite; `place` gives a new empty place. */
export function kvSuite(name: string, place: () => Promise<KvPlace>): void {
  const withKv = (title: string, body: (kv: Kv, again: () => Promise<Kv>) => Promise<void>) =>
    test(title, async () => {
      const { open } = await place();
      const opened = [await open()];
      try {
        await body(opened[0]!, async () => {
          const kv = await open();
          opened.push(kv);
          return kv;
        });
      } finally {
        for (const kv of opened) await kv.close();
      }
    });

  describe(`kv: ${name}`, () => {
    withKv('what was committed is read, replaced and removed', async (kv) => {
      assert.equal(await kv.get('a'), undefined);
      assert.equal(await kv.commit([put('a', '1'), put('b', '')]), 'committed');
      assert.deepEqual(await content(kv), { a: '1', b: '' });
      assert.equal(await kv.commit([put('a', '2'), remove('b'), remove('absent')]), 'committed');
      assert.equal(textOf(await kv.get('a')), '2');
      assert.equal(await kv.get('b'), undefined);
    });

    withKv(
      'any sequence of commits, stale ones and reopenings leaves what a map would hold',
      async (kv, again) => {
        await fc.assert(
          fc.asyncProperty(fc.array(kvStep, { maxLength: 25, size: 'max' }), async (steps) => {
            let now = await again();
            for (const { key } of await now.range('')) await now.commit([remove(key)]);
            const model = new Map<string, string>();
            for (const step of steps) now = await runStep(now, model, step, again);
            assert.deepEqual(await content(now), Object.fromEntries([...model].sort(byUtf8)));
            await now.close();
          }),
          { seed: 1, numRuns: 6 },
        );
        await kv.close();
      },
    );

    withKv('what was committed is there when it is opened again', async (kv, again) => {
      await kv.commit([put('a', '1'), put('b', '2')]);
      await kv.commit([remove('b')]);
      await kv.close();
      await kv.close();
      assert.deepEqual(await content(await again()), { a: '1' });
    });

    withKv('a value read or written is a copy', async (kv) => {
      const bytes = value('abc');
      await kv.commit([{ kind: 'put', key: 'a', value: bytes }]);
      bytes.fill(0);
      const read = await kv.get('a');
      assert.equal(textOf(read), 'abc');
      read?.fill(0);
      const [entry] = await kv.range('a');
      await kv.commit([put('a', 'xyz')]);
      assert.equal(textOf(entry?.value), 'abc');
    });

    withKv('a range has exactly the keys of its prefix, in byte order', async (kv) => {
      const keys = [
        'segment/1',
        'segment/10',
        'segment/2',
        'segment-x/1',
        'segments',
        'a/ä',
        'a/z',
        'a/\u{1F600}',
        'a/\uffff',
      ];
      await kv.commit(keys.map((key) => put(key, key)));
      const inBytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      for (const prefix of ['', 'segment/', 'segment/1', 'a/', 'segment', 'none'])
        assert.deepEqual(
          (await kv.range(prefix)).map(({ key }) => key),
          inBytes.filter((key) => key.startsWith(prefix)),
          prefix,
        );
    });

    withKv('a range is long when it has to be', async (kv) => {
      for (let batch = 0; batch < 10; batch++)
        await kv.commit(Array.from({ length: 100 }, (_, i) => put(`n/${batch}/${i}`, `${i}`)));
      assert.equal((await kv.range('n/')).length, 1000);
      assert.equal((await kv.range('n/3/')).length, 100);
    });

    withKv('conditions: exact bytes, absence, all of them or nothing is written', async (kv) => {
      await kv.commit([put('a', '1')]);
      const cases = [
        { conditions: [{ key: 'a', value: value('1') }], is: 'committed' },
        { conditions: [{ key: 'a', value: value('2') }], is: 'stale' },
        { conditions: [{ key: 'a', value: value('') }], is: 'stale' },
        { conditions: [{ key: 'a', value: undefined }], is: 'stale' },
        { conditions: [{ key: 'x', value: undefined }], is: 'committed' },
        { conditions: [{ key: 'x', value: value('1') }], is: 'stale' },
        {
          conditions: [
            { key: 'a', value: value('1') },
            { key: 'x', value: value('') },
          ],
          is: 'stale',
        },
      ] as const;
      for (const [n, { conditions, is }] of cases.entries()) {
        assert.equal(await kv.commit([put(`case/${n}`, 'x'), remove('nothing')], conditions), is);
        assert.equal((await kv.get(`case/${n}`)) !== undefined, is === 'committed', `case ${n}`);
      }
    });

    withKv('of many commits that found a key absent exactly one creates it', async (kv) => {
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          kv.commit([put('lock', `${i}`)], [{ key: 'lock', value: undefined }]),
        ),
      );
      assert.equal(outcomes.filter((outcome) => outcome === 'committed').length, 1);
      assert.equal(textOf(await kv.get('lock')), String(outcomes.indexOf('committed')));
    });

    withKv('the bounds of a commit hold to the last operation and byte', async (kv) => {
      const ops = (count: number) => Array.from({ length: count }, (_, i) => put(`n/${i}`, 'x'));
      await kv.commit(ops(MAX_OPS_PER_COMMIT));
      await assert.rejects(kv.commit(ops(MAX_OPS_PER_COMMIT + 1)), tooMuch);
      const big = (bytes: number): KvOp[] => [{ kind: 'put', key: 'big', value: new Uint8Array(bytes - 3) }];
      await assert.rejects(kv.commit(big(MAX_COMMIT_BYTES + 1)), tooMuch);
      assert.equal(await kv.get('big'), undefined);
      await kv.commit(big(MAX_COMMIT_BYTES));
      assert.equal((await kv.get('big'))?.length, MAX_COMMIT_BYTES - 3);
      await assert.rejects(kv.commit([put('k'.repeat(2000), 'x')]), tooMuch);
      assert.equal((await kv.range('')).length, MAX_OPS_PER_COMMIT + 1);
    });

    withKv('a key in two operations of one commit is a fault of ours', async (kv) => {
      await assert.rejects(kv.commit([put('a', '1'), remove('a')]), /two operations/);
      assert.deepEqual(await content(kv), {});
    });
  });
}

const kvKey = fc.constantFrom('a', 'ab', 'a/b', 'b', 'é', '\u{10000}', '\uffff', 'z'.repeat(500));
const kvStep = fc.record({
  ops: fc.uniqueArray(
    fc.record({ key: kvKey, text: fc.option(fc.constantFrom('', '1', 'x'.repeat(3000))) }),
    {
      selector: ({ key }) => key,
      maxLength: 5,
    },
  ),
  /** Conditions on what is there, or on what is not. */
  conditions: fc.array(fc.record({ key: kvKey, isTrue: fc.boolean() }), { maxLength: 2 }),
  reopens: fc.boolean(),
});

const byUtf8 = ([a]: readonly [string, string], [b]: readonly [string, string]): number =>
  Buffer.compare(Buffer.from(a), Buffer.from(b));

async function runStep(
  kv: Kv,
  model: Map<string, string>,
  { ops, conditions, reopens }: typeof kvStep extends fc.Arbitrary<infer Step> ? Step : never,
  again: () => Promise<Kv>,
): Promise<Kv> {
  const outcome = await kv.commit(
    ops.map(({ key, text }) => (text === null ? remove(key) : put(key, text))),
    conditions.map(({ key, isTrue }) => {
      const text = model.get(key);
      const wrong = text === undefined ? value('never') : undefined;
      return { key, value: isTrue ? (text === undefined ? undefined : value(text)) : wrong };
    }),
  );
  const holds = conditions.every(({ isTrue }) => isTrue);
  assert.equal(outcome, holds ? 'committed' : 'stale');
  if (holds)
    for (const { key, text } of ops)
      if (text === null) model.delete(key);
      else model.set(key, text);
  for (const prefix of ['', 'a', 'a/', 'é'])
    assert.deepEqual(
      (await kv.range(prefix)).map(({ key }) => key),
      [...model]
        .filter(([key]) => key.startsWith(prefix))
        .sort(byUtf8)
        .map(([key]) => key),
    );
  if (!reopens) return kv;
  await kv.close();
  return again();
}
