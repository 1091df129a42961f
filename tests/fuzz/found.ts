/** Inputs that once broke a decoder, each with what it did. `fuzz.test.ts` runs them all. */

import type { HybridTime } from '../../src/model/hybrid-time.ts';
import { encodeDeletes } from '../../src/segment/deletes-file.ts';
import { encodeRows } from '../../src/segment/rows-file.ts';

export interface Found {
  readonly decoder: string;
  readonly did: string;
  readonly input: Uint8Array;
}

/** A Parquet file whose footer is these bytes. */
function withFooter(footer: Uint8Array): Uint8Array {
  const tail = Buffer.alloc(8, 'xxxxPAR1');
  tail.writeUInt32LE(footer.length, 0);
  return Buffer.concat([Buffer.from('PAR1'), footer, tail]);
}
const times = (word: readonly number[], count: number): Buffer =>
  Buffer.alloc(word.length * count, Uint8Array.from(word));
/** A list of 2^25 items. */
const hugeList = (itemType: number): readonly number[] => [0xf0 | itemType, 0x80, 0x80, 0x80, 0x10];
const LIST = 9;

/** The file with another beginning of its first page's header. */
function withPage(file: Uint8Array, header: readonly number[]): Uint8Array {
  file.set(header, 4);
  return file;
}
const ts = 5n as HybridTime;
const rows = { rowCount: 1, columns: new Map() };

export const found: readonly Found[] = [
  {
    decoder: 'rows-file',
    did: 'a Parquet footer of some bytes with a list of 2^25 items took 256 MiB',
    input: withFooter(Uint8Array.from([0x19, ...hugeList(5), 0])),
  },
  {
    decoder: 'rows-file',
    did: 'a Parquet footer of 25 KB with long lists in long lists took all memory and ended the process',
    input: withFooter(Buffer.concat([Uint8Array.of(0x19), times(hugeList(LIST), 5000)])),
  },
  {
    decoder: 'rows-file',
    did: 'a Parquet footer with a number that does not end took minutes: time went by the square of its length',
    input: withFooter(Buffer.concat([Uint8Array.of(0x16), times([0xff], 900_000)])),
  },
  {
    decoder: 'deletes-file',
    did: 'a page header with a list of 2^25 items took 256 MiB',
    input: withPage(encodeDeletes([{ ts, keys: { type: 'Int64', values: BigInt64Array.of(1n) } }]), [
      0x19,
      ...hugeList(5),
    ]),
  },
  {
    decoder: 'rows-file',
    did: 'the same in a page of rows',
    input: withPage(encodeRows([], [{ ts, rows }]), [0x19, ...hugeList(5)]),
  },
  {
    decoder: 'search-parameters',
    did: 'parameters in 100,000 brackets ran out of stack and were answered as a fault of the server',
    input: Buffer.from(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
  },
  {
    decoder: 'search-parameters',
    did: 'an index parameter that is an object with a member toString was answered as a fault of the server',
    input: Buffer.from('{"a":{"toString":1}}'),
  },
  {
    decoder: 'write-request',
    did: 'a request of 8 bytes for 10,000,000 rows of defaults took 1.2 GB and 7 seconds',
    input: Uint8Array.from([0x38, 0x80, 0xad, 0xe2, 0x04]),
  },
  {
    decoder: 'command-line',
    did: 'a group of 200,000 short flags took minutes: time went by the square of its length',
    input: Buffer.from(`snapshot\0-${'_'.repeat(200_000)}`),
  },
  {
    decoder: 'configuration',
    did: 'a list in 8,000 lists ran out of stack in the middle of a regular expression, which ends the process',
    input: Buffer.from('- '.repeat(8000)),
  },
  {
    decoder: 'configuration',
    did: 'an alias inside its own anchor ran out of stack and ended the start without a word',
    input: Buffer.from('a: &a\n  b: *a\n'),
  },
  {
    decoder: 'configuration',
    did: 'a tag that YAML does not know was told by a process warning and otherwise ignored',
    input: Buffer.from('!!set {a, b}'),
  },
];
