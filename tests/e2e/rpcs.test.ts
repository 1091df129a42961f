import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rpcTable } from '../../src/proxy/compatibility.ts';
import { sharedServer } from './fixture.ts';
import { everyRpc, RawClient } from './raw-client.ts';

const UNIMPLEMENTED = 12;
const nothing = Buffer.alloc(0);

describe('the RPCs of the Milvus service', () => {
  const fixture = sharedServer();

  test('the compatibility table names every RPC of the official client, and no other', () => {
    assert.deepEqual(rpcTable.map(({ name }) => name).sort(), [...everyRpc].sort());
  });

  test('what is not served is answered UNIMPLEMENTED, by name, and nothing else happens', async () => {
    const raw = new RawClient(fixture.server.address);
    const unserved = rpcTable.filter(({ served }) => served === 'no');
    assert.ok(unserved.length > 50);
    for (const { name } of unserved)
      await assert.rejects(raw.bytes(name, nothing), (error: { code: number; details: string }) => {
        assert.equal(error.code, UNIMPLEMENTED, name);
        assert.ok(error.details.includes(name), `'${error.details}' does not name ${name}`);
        return true;
      });
    await assert.rejects(raw.bytes('NoSuchCall', nothing), { code: UNIMPLEMENTED });
    raw.close();
  });

  test('what is served answers a typed status to an empty request: success, or what is missing', async () => {
    const raw = new RawClient(fixture.server.address);
    for (const { name, served } of rpcTable) {
      if (served === 'no') continue;
      const { code, reason, error_code } = await raw.status(name, {});
      assert.ok(![5, 10].includes(code), `${name} answers ${code}: ${reason}`);
      assert.equal(code === 0, error_code === 'Success', name);
      assert.equal(code === 0, reason === '', name);
    }
    raw.close();
  });

  test('bytes that are no message get a typed error, and the connection lives on', async () => {
    const raw = new RawClient(fixture.server.address);
    for (const { name, served } of rpcTable) {
      if (served === 'no') continue;
      for (const garbage of [
        Buffer.alloc(40, 0xff),
        Buffer.from('0a7f61', 'hex'),
        Buffer.from('12ffffffff0f', 'hex'),
      ]) {
        const answer = await raw.bytes(name, garbage);
        assert.ok(answer.length > 0, `${name} answers success to garbage`);
      }
    }
    assert.equal((await raw.status('CheckHealth', {})).code, 0);
    raw.close();
  });
});
