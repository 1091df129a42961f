import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asked, named, startWorld } from '../../../tests/control/world.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { isDbError } from '../../errors/db-error.ts';
import { aliases } from '../tables.ts';
import { MAX_MOVED_ALIASES } from './aliases.ts';

const failsWith = (code: ErrorName, words: string) => (error: unknown) =>
  isDbError(error, code) && error.message.includes(words);

test('an alias finds its collection in every call, through a rename and a restart, and describe shows both', async () => {
  const world = await startWorld();
  await world.coordinator.createCollection(asked('books'));
  await world.coordinator.createAlias(named('books'), 'shelf');
  await world.coordinator.createAlias(named('books'), 'shelf');
  await world.coordinator.createPartition(named('shelf'), 'red');
  await world.coordinator.createIndex(named('shelf'), 'vec', '', { index_type: 'FLAT', metric_type: 'L2' });
  await world.coordinator.load(named('shelf'));
  assert.equal(world.coordinator.loadState(named('shelf')).state, 'loaded');
  await world.coordinator.renameCollection(named('books'), 'tomes', '');
  const { coordinator } = await world.restart();
  const { collection, aliases: names, partitions } = coordinator.describeCollection(named('shelf'));
  assert.deepEqual([collection.name, names, partitions.length], ['tomes', ['shelf'], 2]);
  assert.deepEqual(coordinator.describeAlias('', 'shelf'), {
    databaseName: 'default',
    collectionName: 'tomes',
  });
  assert.deepEqual(coordinator.listAliases('', 'shelf'), ['shelf']);
  await coordinator.close();
});

test('no collection takes the name of an alias, and no alias that of a collection or of another alias', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(asked('books'));
  await coordinator.createCollection(asked('films'));
  await coordinator.createAlias(named('books'), 'shelf');
  await assert.rejects(
    coordinator.createAlias(named('books'), 'films'),
    failsWith('alias-conflict', 'conflict'),
  );
  await assert.rejects(
    coordinator.createAlias(named('films'), 'shelf'),
    failsWith('alias-duplicate', 'alias to another collection'),
  );
  await assert.rejects(
    coordinator.createCollection(asked('shelf')),
    failsWith('collection-duplicate', 'conflicts with an existing alias'),
  );
  await assert.rejects(
    coordinator.renameCollection(named('films'), 'shelf', ''),
    failsWith('collection-duplicate', 'other collection name or alias'),
  );
  await assert.rejects(
    coordinator.createAlias(named('none'), 'a'),
    failsWith('collection-not-found', 'none'),
  );
  await assert.rejects(coordinator.alterAlias(named('films'), 'b'), failsWith('alias-not-found', 'b'));
  assert.throws(() => coordinator.describeAlias('', 'b'), failsWith('alias-not-found', 'b'));
  await coordinator.createDatabase('shop', {});
  await coordinator.createCollection(asked('shelf', { database: 'shop' }));
  await coordinator.close();
});

test('a collection with aliases is not dropped and stays in its database; an alias neither drops nor renames it', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createDatabase('shop', {});
  await coordinator.createCollection(asked('books'));
  await coordinator.createAlias(named('books'), 'shelf');
  await assert.rejects(
    coordinator.dropCollection(named('books')),
    failsWith('parameter-invalid', 'has associated aliases [shelf]'),
  );
  await assert.rejects(
    coordinator.dropCollection(named('shelf')),
    failsWith('parameter-invalid', 'cannot drop the collection via alias'),
  );
  await assert.rejects(
    coordinator.renameCollection(named('shelf'), 'tomes', ''),
    failsWith('parameter-invalid', 'unsupported use an alias to rename'),
  );
  await assert.rejects(
    coordinator.renameCollection(named('books'), 'books', 'shop'),
    failsWith('parameter-invalid', 'must drop all aliases'),
  );
  await coordinator.dropAlias('', 'shelf');
  await coordinator.dropAlias('', 'shelf');
  assert.throws(() => coordinator.describeCollection(named('shelf')), failsWith('collection-not-found', ''));
  await coordinator.dropCollection(named('books'));
  await coordinator.close();
});

test('an altered alias is of the other collection at once', async () => {
  const { coordinator } = await startWorld();
  const books = await coordinator.createCollection(asked('books'));
  const films = await coordinator.createCollection(asked('films'));
  const now = () => coordinator.describeCollection(named('shelf')).collection.collectionId;
  await coordinator.createAlias(named('books'), 'shelf');
  assert.equal(now(), books.collectionId);
  await coordinator.alterAlias(named('films'), 'shelf');
  await coordinator.alterAlias(named('films'), 'shelf');
  assert.equal(now(), films.collectionId);
  assert.deepEqual([coordinator.listAliases('', 'books'), coordinator.listAliases('', '')], [[], ['shelf']]);
  await coordinator.close();
});

test('of an alias, a collection and a drop that race for one name or collection, none leaves an alias that points at nothing', async () => {
  const { coordinator, foundations } = await startWorld();
  for (let round = 0; round < 8; round++) {
    await coordinator.createCollection(asked(`c${round}`));
    await Promise.allSettled([
      coordinator.createAlias(named(`c${round}`), `n${round}`),
      coordinator.dropCollection(named(`c${round}`)),
      coordinator.createCollection(asked(`n${round}`)),
    ]);
    const { collections } = { collections: coordinator.listCollections('') };
    const names = collections.map(({ collection }) => collection.name);
    const ids = new Set(collections.map(({ collection }) => collection.collectionId));
    for (const alias of foundations.catalog.all(aliases)) {
      assert.ok(ids.has(alias.collectionId));
      assert.ok(!names.includes(alias.name));
    }
  }
  await coordinator.close();
});

test('a collection has no more aliases than one commit can move', async () => {
  const { coordinator } = await startWorld();
  await coordinator.createCollection(asked('books'));
  for (let n = 0; n < MAX_MOVED_ALIASES; n++) await coordinator.createAlias(named('books'), `a${n}`);
  await assert.rejects(
    coordinator.createAlias(named('books'), 'b'),
    failsWith('resource-exhausted', 'aliases'),
  );
  await coordinator.close();
});
