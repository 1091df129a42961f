import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Catalog } from '../../src/catalog/catalog.ts';
import { LmdbKv } from '../../src/catalog/lmdb.ts';
import { createItems, item, succeed, withServer } from './fixture.ts';

test('a server whose catalog is taken over ends with one line and exit code 1; what was acknowledged is there after a start', () =>
  withServer(async (fixture) => {
    await createItems(fixture.client);
    await succeed(fixture.client.insert({ collection_name: 'items', data: [item(1), item(2)] }));
    const kv = await LmdbKv.open(join(fixture.dir, 'catalog'));
    await Catalog.open({ kv, tables: [], highWater: () => 0n });
    await kv.close();
    const { server } = fixture;
    const before = server.printed().length;
    await assert.rejects(succeed(fixture.client.createDatabase({ db_name: 'late' })));
    assert.equal(await server.exited, 1);
    assert.match(
      server.printed().slice(before),
      /^tidemark: giving up: another coordinator has taken over the catalog\. Start it again: [^\n]*\n$/,
    );
    await fixture.restart('stop');
    const { data } = await succeed(
      fixture.client.query({ collection_name: 'items', filter: 'id >= 0', output_fields: ['id'], limit: 9 }),
    );
    assert.deepEqual(data.map(({ id }) => Number(id)).sort(), [1, 2]);
  }));
