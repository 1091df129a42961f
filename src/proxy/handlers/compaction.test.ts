import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '@zilliz/milvus2-sdk-node';
import { fakeFilters } from '../../../tests/proxy/fake-planes.ts';
import { type Harness, withClient } from '../../../tests/proxy/harness.ts';
import type { CollectionId } from '../../model/ids.ts';
import { silentLog } from '../../support/log.ts';
import { systemClock } from '../../support/system-clock.ts';
import { type CallContext, defaultLimits } from '../context.ts';
import type { Outgoing, Rpcs } from '../wire/descriptor.ts';
import { statusOf } from '../wire/status.ts';
import { getCompactionState, getCompactionStateWithPlans, manualCompaction } from './compaction.ts';

const ready = (body: (harness: Harness, collectionId: CollectionId) => Promise<void>) =>
  withClient(async (harness) => {
    await harness.client.createCollection({
      collection_name: 'c',
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'v', data_type: DataType.FloatVector, dim: 4 },
      ],
    } as never);
    const { info } = harness.planes.stored({ database: '', name: 'c' });
    await body(harness, info.collection.collectionId);
  });

const contextOf = ({ planes }: Harness): CallContext => ({
  ...planes,
  filters: fakeFilters,
  clock: systemClock,
  log: silentLog,
  limits: defaultLimits,
  metadataDatabase: '',
  user: '',
});

type Request = Rpcs['ManualCompaction']['request'];
const asked = (of: Partial<Request>): Request => ({
  collectionID: 0n,
  timetravel: 0n,
  majorCompaction: false,
  collection_name: '',
  db_name: '',
  partition_id: 0n,
  channel: '',
  segment_ids: [],
  l0Compaction: false,
  target_size: 0n,
  ...of,
});

/** Code, legacy name and reason of a refusal. */
async function refusal(answer: () => unknown): Promise<Outgoing<{ code: number; reason: string }>> {
  try {
    await answer();
  } catch (error) {
    return statusOf(error) as { code: number; reason: string };
  }
  return assert.fail('it was not refused');
}

test('ManualCompaction, GetCompactionState and GetCompactionStateWithPlans work from the official client', () =>
  ready(async ({ client, planes }, collectionId) => {
    const started = await client.compact({ collection_name: 'c' });
    assert.equal(started.status.error_code, 'Success', started.status.reason as string);
    assert.equal(started.compactionPlanCount, 3);
    assert.deepEqual([...planes.compactions.values()][0]?.request, {
      collectionId,
      isDeletesOnly: false,
      segmentIds: [],
    });
    const state = await client.getCompactionState({ compactionID: started.compactionID });
    assert.deepEqual(
      [state.state, state.executingPlanNo, state.completedPlanNo, state.failedPlanNo, state.timeoutPlanNo],
      ['Executing', '1', '1', '1', '0'],
    );
    const { mergeInfos } = await client.getCompactionStateWithPlans({ compactionID: started.compactionID });
    assert.deepEqual(
      mergeInfos.map(({ sources, target }) => [sources, target]),
      [
        [['71', '72'], '77'],
        [['73'], '0'],
        [['74', '75'], '0'],
      ],
    );
  }));

test('a compaction can be of one partition, channel, segments, deletes only, and to a size in megabytes', () =>
  ready(async (harness, collectionId) => {
    const context = contextOf(harness);
    await manualCompaction(
      asked({
        collection_name: 'c',
        partition_id: 9n,
        channel: 'x',
        segment_ids: [5n],
        l0Compaction: true,
        target_size: 64n,
      }),
      context,
    );
    assert.deepEqual([...harness.planes.compactions.values()][0]?.request, {
      collectionId,
      partitionId: 9n,
      channel: 'x',
      segmentIds: [5n],
      isDeletesOnly: true,
      targetSizeBytes: 64 * 1024 * 1024,
    });
  }));

test('what no compaction can be is refused by name', () =>
  ready(async (harness, collectionId) => {
    const context = contextOf(harness);
    const c = { collectionID: collectionId as bigint };
    const rules: [Partial<Request>, number, RegExp][] = [
      [{}, 1101, /collection name or id is required/],
      [{ ...c, majorCompaction: true }, 10, /clustering compaction is not implemented/],
      [{ ...c, target_size: -1n }, 1100, /target_size must be non-negative/],
      [{ ...c, segment_ids: new Array<bigint>(16_385).fill(1n) }, 1102, /at most 16384/],
      [{ collectionID: 4n }, 100, /4/],
      [{ collection_name: 'gone' }, 100, /gone/],
      [{ ...c, db_name: 'other' }, 100, /can't find collection/],
    ];
    for (const [request, code, words] of rules) {
      const { code: seen, reason } = await refusal(() => manualCompaction(asked(request), context));
      assert.equal(seen, code, reason);
      assert.match(reason ?? '', words);
    }
    for (const handler of [getCompactionState, getCompactionStateWithPlans]) {
      assert.equal((await refusal(() => handler({ compactionID: 0n }, context))).code, 1100);
      const unknown = await refusal(() => handler({ compactionID: 12n }, context));
      assert.equal(unknown.code, 2102);
      assert.match(unknown.reason ?? '', /compaction not found/);
    }
  }));
