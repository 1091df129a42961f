import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { ownConnections } from '../../../tests/connections.ts';
import { fakeFilters } from '../../../tests/proxy/fake-planes.ts';
import { type Harness, withClient } from '../../../tests/proxy/harness.ts';
import { silentLog } from '../../support/log.ts';
import { systemClock } from '../../support/system-clock.ts';
import type { CallContext } from '../context.ts';
import { defaultLimits } from '../context.ts';
import { service } from '../service.ts';
import { rpcTypes } from '../wire/descriptor.generated.ts';
import {
  decodeMessage,
  decodeRequest,
  encodeMessage,
  type Outgoing,
  type RpcName,
  type Rpcs,
} from '../wire/descriptor.ts';
import { statusOf } from '../wire/status.ts';

const ready = (body: (harness: Harness) => Promise<void>) =>
  withClient(async (harness) => {
    await harness.client.createCollection({
      collection_name: 'c',
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true },
        { name: 'v', data_type: DataType.FloatVector, dim: 4 },
      ],
    } as never);
    await body(harness);
  });

/** The status of a call with this request, past the client's own checks. */
async function statusFor<Name extends RpcName>(
  { planes }: Harness,
  rpc: Name,
  request: Outgoing<Rpcs[Name]['request']>,
) {
  const call: CallContext = {
    ...planes,
    filters: fakeFilters,
    clock: systemClock,
    log: silentLog,
    limits: defaultLimits,
    metadataDatabase: '',
    user: undefined,
  };
  const body = encodeMessage(rpcTypes[rpc].request, request);
  decodeRequest(rpc, body);
  try {
    const answer = decodeMessage<{
      code?: number;
      reason?: string;
      status?: { code: number; reason: string };
    }>(rpcTypes[rpc].response, await service[rpc].answer(body, call));
    return { code: answer.status?.code ?? answer.code, reason: answer.status?.reason ?? answer.reason };
  } catch (error) {
    return statusOf(error);
  }
}

test('a pin gets the name of the user who logs in, and no name without one; the password goes nowhere', () =>
  ready(async ({ client, planes, server }) => {
    const at = { collection_name: 'c', snapshot_name: 's' };
    await client.createSnapshot(at as never);
    await client.pinSnapshotData(at as never);
    const ada = new MilvusClient({
      address: `127.0.0.1:${server.port}`,
      username: 'ada',
      password: 'secret',
      maxRetries: 0,
      channelOptions: ownConnections,
    });
    try {
      await ada.connectPromise;
      const { status } = await ada.pinSnapshotData(at as never);
      assert.equal(status.error_code, 'Success');
    } finally {
      await ada.closeConnection();
    }
    assert.deepEqual(planes.pinOwners, [undefined, 'ada']);
  }));

test('the nine snapshot calls work from the official client', () =>
  ready(async ({ client, planes }) => {
    const at = { collection_name: 'c', snapshot_name: 's' };
    const made = await client.createSnapshot({ ...at, description: 'first' } as never);
    assert.equal(made.error_code, 'Success', made.reason as string);
    assert.deepEqual((await client.listSnapshots({ collection_name: 'c' } as never)).snapshots, ['s']);
    const described = await client.describeSnapshot(at as never);
    assert.equal(described.description, 'first');
    assert.equal(described.create_ts, String(2n ** 60n));
    assert.ok(described.s3_location.length > 0);
    const pinned = await client.pinSnapshotData({ ...at, ttl_seconds: 60 } as never);
    assert.ok(planes.pins.has(BigInt(pinned.pin_id)), 'a 63-bit id survives the wire');
    const refused = await client.dropSnapshot(at as never);
    assert.equal(refused.code, 2601);
    assert.match(refused.reason as string, /active pins exist/);
    await client.unpinSnapshotData({ pin_id: pinned.pin_id } as never);
    const restored = await client.restoreSnapshot({
      snapshot_name: 's',
      source_collection_name: 'c',
      target_collection_name: 'r',
    } as never);
    assert.equal(restored.status.error_code, 'Success', restored.status.reason);
    const { info } = await client.getRestoreSnapshotState({ job_id: restored.job_id } as never);
    assert.deepEqual(
      [info?.state, info?.progress, info?.collection_name],
      ['RestoreSnapshotExecuting', 40, 'r'],
    );
    const { jobs } = await client.listRestoreSnapshotJobs({ collection_name: 'r' } as never);
    assert.deepEqual(
      jobs.map(({ job_id }) => job_id),
      [restored.job_id],
    );
    const { properties } = await client.describeCollection({ collection_name: 'r' });
    assert.deepEqual(properties, [{ key: 'tidemark.restoring_job_id', value: String(restored.job_id) }]);
    const { status } = await client.query({ collection_name: 'r', filter: 'id > 1' });
    assert.deepEqual([status.code, status.retriable], [106, true]);
    assert.equal((await client.dropSnapshot(at as never)).error_code, 'Success');
    assert.equal((await client.dropSnapshot(at as never)).error_code, 'Success');
  }));

test('every rule of the snapshot calls is answered with its code and words', () =>
  ready(async (harness) => {
    const c = { collection_name: 'c' };
    await statusFor(harness, 'CreateSnapshot', { ...c, name: 'there' });
    const rules: [RpcName, object, number, RegExp][] = [
      ...(
        ['CreateSnapshot', 'DropSnapshot', 'DescribeSnapshot', 'RestoreSnapshot', 'PinSnapshotData'] as const
      ).map((rpc): [RpcName, object, number, RegExp] => [
        rpc,
        { ...c, name: ' ' },
        1100,
        /snapshot name should be not empty/,
      ]),
      ['CreateSnapshot', { collection_name: 'gone', name: 's' }, 100, /collection not found/],
      ['CreateSnapshot', { ...c, name: 'there' }, 1100, /already exists/],
      [
        'CreateSnapshot',
        { ...c, name: '1s' },
        1100,
        /first character of snapshot name must be an underscore or letter/,
      ],
      [
        'CreateSnapshot',
        { ...c, name: 's/../x' },
        1100,
        /can only contain numbers, letters, underscores, and allowed/,
      ],
      [
        'CreateSnapshot',
        { ...c, name: 's'.repeat(256) },
        1100,
        /length of snapshot name must be not greater than limit/,
      ],
      [
        'CreateSnapshot',
        { ...c, name: 's', compaction_protection_seconds: -1n },
        1100,
        /compaction_protection_seconds must be non-negative/,
      ],
      [
        'CreateSnapshot',
        { ...c, name: 's', compaction_protection_seconds: 604_801n },
        1100,
        /must not exceed 604800/,
      ],
      ['DropSnapshot', { ...c, name: 'unknown' }, 0, /^$/],
      ['DropSnapshot', { name: 's' }, 1100, /collection_name is required for drop snapshot/],
      ['DescribeSnapshot', { name: 's' }, 1100, /collection_name is required for/],
      ['ListSnapshots', {}, 1100, /collection_name is required for ListSnapshots/],
      ['RestoreSnapshot', { name: 's' }, 1100, /collection_name is required for restore snapshot/],
      ['PinSnapshotData', { name: 's' }, 1100, /collection_name is required for/],
      ['DescribeSnapshot', { ...c, name: 'unknown' }, 2600, /snapshot not found.*unknown/],
      ['RestoreSnapshot', { ...c, name: 'unknown', target_collection_name: 'r' }, 2600, /not found/],
      ['PinSnapshotData', { ...c, name: 'unknown' }, 2600, /not found/],
      ['ListSnapshots', { collection_name: 'gone' }, 100, /collection not found/],
      [
        'RestoreSnapshot',
        { ...c, name: 'there', target_collection_name: 'c' },
        65_535,
        /duplicate collection/,
      ],
      [
        'RestoreSnapshot',
        { ...c, name: 'there' },
        1100,
        /target_collection_name is required for restore snapshot/,
      ],
      ['RestoreSnapshot', { ...c, name: 'there', target_collection_name: 'a/b' }, 1100, /can only contain/],
      ['GetRestoreSnapshotState', { job_id: 4n }, 2101, /not found/],
      [
        'PinSnapshotData',
        { ...c, name: 'there', ttl_seconds: -1n },
        1100,
        /ttl_seconds must be non-negative/,
      ],
      [
        'PinSnapshotData',
        { ...c, name: 'there', ttl_seconds: 2_592_001n },
        1100,
        /ttl_seconds exceeds maximum of 2592000/,
      ],
      ['UnpinSnapshotData', { pin_id: 0n }, 1100, /pin_id is required for unpin snapshot data/],
      ['UnpinSnapshotData', { pin_id: 12n }, 0, /^$/],
    ];
    for (const [rpc, request, code, reason] of rules) {
      const status = await statusFor(harness, rpc, request as never);
      assert.match(status.reason ?? '', reason);
      assert.equal(status.code, code, `${rpc}: ${status.reason}`);
    }
  }));
