/** What must hold of snapshots and storage when nobody is at work. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { restore, succeed } from '../fixture.ts';
import type { History } from './history.ts';
import { readStates } from './rows.ts';
import { eventually, load, type Session } from './session.ts';
import { compareCopy, type Keeper } from './snapshot-users.ts';
import { count, MAIN } from './users.ts';

/** Each can be verified, and restores to the rows of its timestamp. */
export async function checkSnapshots(session: Session, keeper: Keeper, history: History): Promise<void> {
  for (const kept of keeper.there()) {
    const lines = await session.lines<{ kind: string }>(
      'POST',
      `/snapshots/default/${MAIN}/${kept.name}/verify`,
    );
    assert.deepEqual(
      lines.filter(({ kind }) => kind !== 'end' && kind !== 'progress'),
      [],
      `verify of ${kept.name}`,
    );
    const target_collection_name = `whole_${kept.name}`;
    const request = { snapshot_name: kept.name, source_collection_name: MAIN, target_collection_name };
    await restore(session.client, request);
    await load(session.client, target_collection_name);
    compareCopy(
      await readStates(session.client, target_collection_name),
      kept,
      history,
      target_collection_name,
    );
    await succeed(session.client.dropCollection({ collection_name: target_collection_name }));
    count('snapshots verified and compared');
  }
}

interface Planned {
  readonly verdict?: 'keep' | 'delete';
  readonly key: string;
}

/** After a collection of garbage the files on the disk are those that are needed, and all of them. Flushes and compactions may still be under way. */
export async function checkGarbage(session: Session, dir: string): Promise<void> {
  let seen: unknown;
  const look = async (): Promise<true | undefined> => {
    await session.ask('POST', '/gc');
    const plan = await session.lines<Planned>('GET', '/gc/plan');
    const deletes = plan.filter(({ verdict }) => verdict === 'delete');
    const needed = new Set(plan.filter(({ verdict }) => verdict === 'keep').map(({ key }) => key));
    const files = await filesBelow(join(dir, 'objects'));
    // What a thread that was cut off left half written stays for an hour, or until the next start.
    const isObject = (key: string) => !key.startsWith('.tmp/');
    const missing = [...needed].filter((key) => isObject(key) && !files.includes(key));
    const beyond = files.filter((file) => isObject(file) && !needed.has(file));
    seen = { deletes, missing, beyond };
    return deletes.length + missing.length + beyond.length === 0 ? true : undefined;
  };
  await eventually('the files on the disk are those that are needed', 20_000, look).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(seen, null, 1).slice(0, 4000)}`);
    },
  );
  count('storage compared');
}

export async function filesBelow(root: string): Promise<readonly string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.path, entry.name).slice(root.length + 1));
}
