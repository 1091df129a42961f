/** What every `ObjectStore` must do. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { isDbError } from '../errors/db-error.ts';
import { crc32 } from '../support/crc32.ts';
import type { CopyOptions, ObjectStore, TemporaryFile } from './object-store.ts';

const bytesOf = (length: number, salt = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + salt * 7 + (i >> 8)) & 0xff);
const flipped = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 4 : byte));
const fails = (code: 'object-not-found' | 'data-integrity', key: string) => (error: unknown) =>
  isDbError(error, code) && error.message.includes(`'${key}'`);

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys;
}

async function filled(store: ObjectStore, keys: readonly string[]): Promise<void> {
  for (const key of keys) await store.put(key, bytesOf(3));
}

/** Runs the suite; `open` gives an empty store, `leave` makes it hold what a writer that died has left. */
export function objectStoreSuite<S extends ObjectStore>(
  name: string,
  open: () => Promise<S>,
  leave: (store: S, name: string, sizeBytes: number) => Promise<void>,
): void {
  const withStore = (title: string, body: (store: S) => Promise<void>) =>
    test(title, async () => {
      const store = await open();
      try {
        await body(store);
      } finally {
        await store.close();
      }
    });

  describe(`object store: ${name}`, () => {
    withStore('what a dead writer left is listed apart from objects, and can be deleted', async (store) => {
      const temporaries = async () => {
        const found: TemporaryFile[] = [];
        for await (const temporary of store.listTemporary()) found.push(temporary);
        return found;
      };
      await filled(store, ['a', 'b']);
      assert.deepEqual(await temporaries(), []);
      await leave(store, 'w-dead/1', 7);
      await leave(store, 'w-dead/2', 9);
      const found = await temporaries();
      assert.deepEqual(
        found.map(({ name: at, sizeBytes }) => [at, sizeBytes]),
        [
          ['w-dead/1', 7],
          ['w-dead/2', 9],
        ],
      );
      assert.ok(found.every(({ modifiedAtMs }) => Number.isFinite(modifiedAtMs)));
      assert.deepEqual(await keysOf(store, ''), ['a', 'b']);
      await store.deleteTemporary('w-dead/1');
      await store.deleteTemporary('w-dead/1');
      assert.deepEqual(
        (await temporaries()).map(({ name: at }) => at),
        ['w-dead/2'],
      );
      await store.deleteTemporary('w-dead/2');
      assert.deepEqual(await temporaries(), []);
      await filled(store, ['c']);
      assert.deepEqual(await keysOf(store, ''), ['a', 'b', 'c']);
    });

    withStore('any sequence of calls answers what a map would', (store) => answersAsMap(store));

    withStore('what was put is read back whole, with its checksum and mark', async (store) => {
      for (const length of [0, 1, 70_000, 3_000_000]) {
        const bytes = bytesOf(length);
        const { crc32: sum, etag } = await store.put('a/b.bin', bytes);
        assert.deepEqual(Buffer.compare(await store.get('a/b.bin'), bytes), 0);
        assert.equal(sum, crc32(bytes));
        const stat = await store.stat('a/b.bin');
        assert.equal(stat?.sizeBytes, length);
        assert.equal(stat?.etag, etag);
        assert.notEqual(etag, '');
      }
    });

    withStore(
      'a result owns its buffer and later changes of the input do not reach the store',
      async (store) => {
        const bytes = bytesOf(100);
        await store.put('a', bytes);
        bytes.fill(0);
        const read = await store.get('a');
        assert.equal(read.buffer.byteLength, 100);
        assert.equal(Buffer.compare(read, bytesOf(100)), 0);
        read.fill(9);
        assert.equal(Buffer.compare(await store.get('a'), bytesOf(100)), 0);
        assert.equal((await store.getRange('a', 10, 20)).buffer.byteLength, 20);
      },
    );

    withStore('a second put replaces the object and changes its mark', async (store) => {
      const first = await store.put('a/b', bytesOf(50, 1));
      const second = await store.put('a/b', bytesOf(50, 2));
      assert.notEqual(first.etag, second.etag);
      assert.equal(Buffer.compare(await store.get('a/b'), bytesOf(50, 2)), 0);
    });

    withStore(
      'a reader beside a replacing writer sees one content or the other, never a mixture',
      async (store) => {
        const contents = [bytesOf(200_000, 1), bytesOf(150_000, 2)] as const;
        await store.put('a', contents[0]);
        let isWriting = true;
        const writing = (async () => {
          for (let i = 0; i < 12; i++) await store.put('a', contents[i % 2]!);
          isWriting = false;
        })();
        let reads = 0;
        for (; isWriting; reads++) {
          const read = await store.get('a');
          assert.ok(contents.some((content) => Buffer.compare(content, read) === 0));
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        await writing;
        assert.ok(reads > 0);
      },
    );

    withStore('parallel puts of one key leave one of the contents', async (store) => {
      await Promise.all([1, 2, 3, 4].map((salt) => store.put('x/y', bytesOf(10_000, salt))));
      const read = await store.get('x/y');
      assert.ok([1, 2, 3, 4].some((salt) => Buffer.compare(read, bytesOf(10_000, salt)) === 0));
    });

    withStore('ranges are exact and a range beyond the end is a data error', async (store) => {
      const bytes = bytesOf(2_500_000);
      await store.put('a', bytes);
      for (const [offset, length] of [
        [0, 10],
        [2_499_990, 10],
        [5, 2_000_000],
        [7, 0],
        [0, 2_500_000],
      ] as const)
        assert.equal(
          Buffer.compare(await store.getRange('a', offset, length), bytes.subarray(offset, offset + length)),
          0,
        );
      await assert.rejects(store.getRange('a', 2_499_991, 10), fails('data-integrity', 'a'));
      await assert.rejects(store.getRange('a', 0, 2 ** 45), fails('data-integrity', 'a'));
    });

    withStore('an absent object is undefined to stat and an error to readers', async (store) => {
      await store.put('dir/file', bytesOf(5));
      for (const key of ['nothing', 'dir', 'dir/other', 'dir/file/below']) {
        assert.equal(await store.stat(key), undefined);
        await assert.rejects(store.get(key), fails('object-not-found', key));
        await assert.rejects(store.getRange(key, 0, 1), fails('object-not-found', key));
        await store.delete(key);
      }
      assert.equal((await store.get('dir/file')).length, 5);
    });

    withStore('keys that leave the store or hide in it are refused', async (store) => {
      for (const key of [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '..',
        'a/../b',
        './a',
        '.tmp/x',
        'a b',
        'ä',
        'a\\b',
        'a\0',
      ])
        await assert.rejects(async () => store.put(key, bytesOf(1)), /is no object key/, key);
      await assert.rejects(() => keysOf(store, '../'), /prefix/);
    });

    withStore('a listing is in key order, with sizes and marks', async (store) => {
      const keys = [
        'a-b',
        'a.b',
        'a/b',
        'a/b-c',
        'a/c/d',
        'a/c.d',
        'a0',
        'B',
        'a/c-d/e',
        'z/1',
        'z/10',
        'z/2',
      ];
      await filled(store, keys);
      assert.deepEqual(await keysOf(store, ''), [...keys].sort());
      for await (const { key, sizeBytes, etag } of store.list('z/')) {
        assert.equal(sizeBytes, 3);
        assert.equal(etag, (await store.stat(key))?.etag);
      }
    });

    withStore('a prefix may end inside a segment', async (store) => {
      await filled(store, ['seg/1/x', 'seg/10/x', 'seg/10/y/z', 'seg/2/x', 'segments']);
      assert.deepEqual(await keysOf(store, 'seg/1'), ['seg/1/x', 'seg/10/x', 'seg/10/y/z']);
      assert.deepEqual(await keysOf(store, 'seg/10/'), ['seg/10/x', 'seg/10/y/z']);
      assert.deepEqual(await keysOf(store, 'seg/10/y'), ['seg/10/y/z']);
      assert.deepEqual(await keysOf(store, 'seg/10/x'), ['seg/10/x']);
      assert.deepEqual(await keysOf(store, 'segm'), ['segments']);
      assert.deepEqual(await keysOf(store, 'none/'), []);
      assert.deepEqual(await keysOf(store, 'segments/'), []);
    });

    withStore('objects removed while a listing runs do not break it', async (store) => {
      const keys = Array.from({ length: 150 }, (_, i) => `many/${i}`);
      await Promise.all(keys.map((key) => store.put(key, bytesOf(1))));
      const seen: string[] = [];
      for await (const { key } of store.list('many/')) {
        if (seen.length === 0) for (const other of keys.slice(0, 149)) await store.delete(other);
        seen.push(key);
      }
      assert.deepEqual(seen, [...seen].sort());
      assert.ok(seen.includes('many/149'));
    });

    withStore('delete is idempotent and the key can be used again', async (store) => {
      await store.put('a/b/c', bytesOf(4));
      await store.delete('a/b/c');
      await store.delete('a/b/c');
      assert.equal(await store.stat('a/b/c'), undefined);
      assert.deepEqual(await keysOf(store, ''), []);
      await store.put('a/b/c', bytesOf(6));
      assert.equal((await store.get('a/b/c')).length, 6);
    });

    withStore(
      'puts and deletes beside each other in one directory do not disturb each other',
      async (store) => {
        const lane = async (n: number) => {
          for (let i = 0; i < 24; i++) {
            await store.put(`d/e/${n}`, bytesOf(2));
            if (i < 23) await store.delete(`d/e/${n}`);
          }
        };
        await Promise.all([0, 1, 2, 3].map(lane));
        assert.deepEqual(await keysOf(store, 'd/'), ['d/e/0', 'd/e/1', 'd/e/2', 'd/e/3']);
      },
    );

    copySuite(withStore);
  });
}

function copySuite(withStore: (title: string, body: (store: ObjectStore) => Promise<void>) => void): void {
  for (const mode of ['shared', 'physical'] as const) {
    const source = bytesOf(1_200_000);
    const recorded = { sizeBytes: source.length, crc32: crc32(source), mode };
    const prepared = async (store: ObjectStore): Promise<CopyOptions> => {
      const { etag } = await store.put('from/s', source);
      return { ...recorded, etag };
    };
    const holdsSource = async (store: ObjectStore, etag: string) => {
      assert.equal(Buffer.compare(await store.get('to/t'), source), 0);
      assert.equal((await store.stat('to/t'))?.etag, etag);
    };

    withStore(`${mode} copy: the recorded mark proves the content without reading it`, async (store) => {
      const result = await store.copy('from/s', 'to/t', await prepared(store));
      assert.equal(result.checkedBytes, 0);
      assert.notEqual(result.method, 'present');
      await holdsSource(store, result.etag);
      await store.delete('from/s');
      await holdsSource(store, result.etag);
    });

    for (const [what, mark] of [
      ['unknown', ''],
      ['stale', 'v-of-another-time'],
    ] as const)
      withStore(
        `${mode} copy: with a mark that is ${what} the bytes are read and compared`,
        async (store) => {
          const result = await store.copy('from/s', 'to/t', { ...(await prepared(store)), etag: mark });
          assert.equal(result.checkedBytes, source.length);
          await holdsSource(store, result.etag);
        },
      );

    const damages = {
      'bit-flipped': flipped(source),
      truncated: source.slice(0, -1),
      'too long': bytesOf(source.length + 1),
      empty: new Uint8Array(),
    };
    for (const [what, damaged] of Object.entries(damages))
      withStore(
        `${mode} copy: a source that is ${what} is refused, named, and leaves no target`,
        async (store) => {
          const options = await prepared(store);
          await store.put('from/s', damaged);
          for (const etag of [options.etag, ''])
            await assert.rejects(
              store.copy('from/s', 'to/t', { ...options, etag }),
              fails('data-integrity', 'from/s'),
            );
          assert.deepEqual(await keysOf(store, ''), ['from/s']);
        },
      );

    withStore(
      `${mode} copy: a missing source is named and leaves no target, not even an old wrong one`,
      async (store) => {
        const options = { ...recorded, etag: 'x' };
        await assert.rejects(store.copy('from/s', 'to/t', options), fails('object-not-found', 'from/s'));
        await store.put('to/t', bytesOf(10));
        await assert.rejects(store.copy('from/s', 'to/t', options), fails('object-not-found', 'from/s'));
        assert.deepEqual(await keysOf(store, ''), []);
      },
    );

    withStore(`${mode} copy: a target that is already right is kept`, async (store) => {
      const options = await prepared(store);
      const first = await store.copy('from/s', 'to/t', options);
      const second = await store.copy('from/s', 'to/t', options);
      assert.equal(second.method, 'present');
      assert.equal(second.etag, first.etag);
      await store.delete('from/s');
      assert.equal((await store.copy('from/s', 'to/t', options)).method, 'present');
      await holdsSource(store, first.etag);
    });

    for (const [what, wrong] of Object.entries(damages))
      withStore(`${mode} copy: an existing target that is ${what} is replaced`, async (store) => {
        const options = await prepared(store);
        await store.put('to/t', wrong);
        const result = await store.copy('from/s', 'to/t', options);
        assert.notEqual(result.method, 'present');
        await holdsSource(store, result.etag);
      });

    withStore(`${mode} copy: copies to one target at the same time all succeed and agree`, async (store) => {
      const options = await prepared(store);
      await store.put('to/t', bytesOf(9));
      const results = await Promise.all(
        Array.from({ length: 6 }, () => store.copy('from/s', 'to/t', options)),
      );
      assert.equal(new Set(results.map(({ etag }) => etag)).size, 1);
      assert.equal(results.filter(({ method }) => method !== 'present').length, 1);
      await holdsSource(store, results[0]!.etag);
    });

    withStore(`${mode} copy: copies into one directory at the same time`, async (store) => {
      const options = await prepared(store);
      const keys = Array.from({ length: 20 }, (_, i) => `to/deep/er/${String(i).padStart(2, '0')}`);
      await Promise.all(keys.map((key) => store.copy('from/s', key, options)));
      assert.deepEqual(await keysOf(store, 'to/'), keys);
    });
  }

  withStore('says how shared copies come to their bytes, and copies do so', async (store) => {
    const { etag, crc32: sum } = await store.put('s', bytesOf(1000));
    const sharing = await store.sharing();
    const shared = await store.copy('s', 't', { sizeBytes: 1000, crc32: sum, etag, mode: 'shared' });
    assert.equal(shared.method, sharing === 'none' ? 'stream' : sharing);
    assert.equal(await store.sharing(), sharing);
    assert.deepEqual(await keysOf(store, ''), ['s', 't']);
  });

  withStore('says how many bytes are free, or that it does not know', async (store) => {
    const capacity = await store.capacity();
    if (capacity !== undefined)
      assert.ok(Number.isSafeInteger(capacity.freeBytes) && capacity.freeBytes >= 0);
    assert.equal((await store.capacity()) === undefined, capacity === undefined);
  });

  withStore('a put over a copy changes the copy only', async (store) => {
    const bytes = bytesOf(1000);
    const { etag, crc32: sum } = await store.put('s', bytes);
    await store.copy('s', 't', { sizeBytes: 1000, crc32: sum, etag, mode: 'shared' });
    await store.put('t', bytesOf(7));
    assert.equal(Buffer.compare(await store.get('s'), bytes), 0);
    assert.equal((await store.stat('s'))?.etag, etag);
  });
}

interface Known {
  readonly bytes: Uint8Array;
  readonly etag: string;
}

const isRefused = (error: unknown): 'object-not-found' | 'data-integrity' => {
  assert.ok(isDbError(error, 'object-not-found') || isDbError(error, 'data-integrity'), String(error));
  return error.code as 'object-not-found';
};

class Call implements fc.AsyncCommand<Map<string, Known>, ObjectStore> {
  readonly #name: string;
  readonly #run: (model: Map<string, Known>, store: ObjectStore) => Promise<void>;

  constructor(name: string, run: (model: Map<string, Known>, store: ObjectStore) => Promise<void>) {
    this.#name = name;
    this.#run = run;
  }

  check = () => true;

  async run(model: Map<string, Known>, store: ObjectStore): Promise<void> {
    await this.#run(model, store);
    for (const [key, { etag }] of model) assert.equal((await store.stat(key))?.etag, etag, `mark of ${key}`);
  }

  toString = () => this.#name;
}

/** No key is a directory of another. */
const someKey = fc.constantFrom('a', 'b/c', 'b/d', 'b/e/f', 'g-1/h.bin');
const someBytes = fc
  .tuple(fc.constantFrom(0, 1, 5, 4096, 70_000), fc.nat(3))
  .map(([length, salt]) => bytesOf(length, salt));

const calls = [
  fc.tuple(someKey, someBytes).map(
    ([key, bytes]) =>
      new Call(`put ${key}`, async (model, store) => {
        const put = await store.put(key, bytes);
        assert.equal(put.crc32, crc32(bytes));
        model.set(key, { bytes, etag: put.etag });
      }),
  ),
  someKey.map(
    (key) =>
      new Call(`get ${key}`, async (model, store) => {
        const known = model.get(key);
        const found = await store.get(key).catch(isRefused);
        if (known === undefined) assert.equal(found, 'object-not-found');
        else assert.equal(Buffer.compare(found as Uint8Array, known.bytes), 0);
      }),
  ),
  fc.tuple(someKey, fc.nat(80_000), fc.nat(5000)).map(
    ([key, offset, length]) =>
      new Call(`get ${length} from ${offset} of ${key}`, async (model, store) => {
        const known = model.get(key);
        const found = await store.getRange(key, offset, length).catch(isRefused);
        if (known === undefined) assert.equal(found, 'object-not-found');
        else if (length > 0 && offset + length > known.bytes.length) assert.equal(found, 'data-integrity');
        else
          assert.equal(Buffer.compare(found as Uint8Array, known.bytes.subarray(offset, offset + length)), 0);
      }),
  ),
  fc.constantFrom('', 'b', 'b/', 'b/e', 'g-', 'z').map(
    (prefix) =>
      new Call(`list ${prefix}`, async (model, store) => {
        const found: [string, number][] = [];
        for await (const { key, sizeBytes } of store.list(prefix)) found.push([key, sizeBytes]);
        const expected = [...model]
          .filter(([key]) => key.startsWith(prefix))
          .map(([key, { bytes }]) => [key, bytes.length]);
        assert.deepEqual(found, expected.toSorted());
      }),
  ),
  fc
    .tuple(
      someKey,
      someKey,
      fc.constantFrom('shared' as const, 'physical' as const),
      fc.constantFrom('known', 'none', 'wrong'),
    )
    .map(
      ([from, to, mode, proof]) =>
        new Call(`copy ${from} to ${to}, ${mode}, ${proof}`, async (model, store) => {
          const known = model.get(from);
          if (from === to) return;
          const { bytes, etag } = known ?? { bytes: new Uint8Array(), etag: '' };
          const copied = await store
            .copy(from, to, {
              sizeBytes: bytes.length,
              crc32: proof === 'wrong' ? crc32(bytes) ^ 1 : crc32(bytes),
              etag: proof === 'known' ? etag : '',
              mode,
            })
            .catch(isRefused);
          if (typeof copied === 'object') {
            // A target that is right already needs no source.
            const isThere = Buffer.compare(model.get(to)?.bytes ?? bytesOf(1), bytes) === 0;
            assert.ok(proof !== 'wrong' && (known !== undefined || isThere));
            assert.equal(Buffer.compare(await store.get(to), bytes), 0);
            model.set(to, { bytes, etag: copied.etag });
            return;
          }
          assert.ok(known === undefined || proof === 'wrong');
          // No wrong target is left; one that was there may have gone.
          if ((await store.stat(to)) === undefined) model.delete(to);
        }),
    ),
  someKey.map(
    (key) =>
      new Call(`delete ${key}`, async (model, store) => {
        await store.delete(key);
        model.delete(key);
        assert.equal(await store.stat(key), undefined);
      }),
  ),
];

/** One store for all sequences: each begins by emptying it. */
async function answersAsMap(store: ObjectStore): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.commands(calls, { maxCommands: 20, size: 'max' }), async (commands) => {
      for await (const { key } of store.list('')) await store.delete(key);
      await fc.asyncModelRun(() => ({ model: new Map(), real: store }), commands);
    }),
    { seed: 1, numRuns: 6 },
  );
}
