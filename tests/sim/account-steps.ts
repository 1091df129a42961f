/** What the admin door says of a snapshot, against its objects and the catalog. */

import { type SnapshotRecord, snapshots } from '../../src/coordinator/snapshot/record.ts';
import { allFiles } from '../../src/coordinator/snapshot/segment.ts';
import { segments } from '../../src/coordinator/tables.ts';
import { CompactionSteps } from './compaction-steps.ts';
import { at, type Coll, type Snap } from './model.ts';
import { check } from './properties.ts';

const never = (): AbortSignal => new AbortController().signal;

export abstract class AccountSteps extends CompactionSteps {
  /** With faults gone: it verifies, and costs what it costs. */
  protected async accounted(coll: Coll, snap: Snap): Promise<void> {
    const life = await this.world.up();
    const record = this.recordOf(life, coll, snap.name);
    if (record === undefined) return;
    const which = { at: at(coll.name), name: snap.name };
    const pinsOf = () =>
      this.ask(life)
        .listPins()
        .filter(({ owner, snapshotId }) => owner === 'verification' && snapshotId === record.snapshotId);
    // Of one whose process died: it holds for a minute.
    const earlier = new Set(pinsOf().map(({ pinId }) => pinId));
    const verified = await this.call('verify', coll, async () => {
      const problems: string[] = [];
      let unread = -1;
      for await (const step of this.ask(life).verifySnapshot(which, 1, never())) {
        if (step.kind === 'problem') problems.push(`${step.key} is ${step.problem}: ${step.detail}`);
        if (step.kind === 'end') unread = step.totalObjects - step.objects;
      }
      return { problems, unread };
    });
    const found = verified.is === 'ok' ? verified.value : { problems: [verified.is], unread: -1 };
    check(
      'kept',
      found.problems.length === 0 && found.unread === 0,
      () =>
        `${snap.name} of ${coll.name} does not verify, ${found.unread} unread: ${found.problems.join('; ')}`,
    );
    const held = pinsOf().filter(({ pinId }) => !earlier.has(pinId));
    check('clean', held.length === 0, () => `the verification of ${snap.name} has ended and its pin is left`);
    const before = await this.#exclusiveBytes(record);
    const told = await this.call('account', coll, () => this.ask(life).snapshotReport(which));
    const after = await this.#exclusiveBytes(record);
    const content = told.is === 'ok' ? told.value.content : undefined;
    const isRight =
      told.is === 'ok' &&
      content !== undefined &&
      [before, after].includes(content.exclusiveBytes) &&
      content.exclusiveBytes + content.sharedBytes === told.value.sizeBytes;
    check(
      'exact',
      isRight,
      () =>
        `${snap.name} of ${coll.name} costs ${content?.exclusiveBytes} and shares ${content?.sharedBytes}, not ${before} or ${after}`,
    );
  }

  /** What a comparison of two snapshots says, against what they hold. */
  protected async compared(coll: Coll, from: Snap, to: Snap): Promise<void> {
    const life = await this.world.up();
    const records = [from, to].map(({ name }) => this.recordOf(life, coll, name));
    const [was, is] = records;
    if (was === undefined || is === undefined) return;
    const idsOf = async (record: SnapshotRecord) =>
      (await this.keeper.snapshotFiles(record)).segments.map(({ segmentId }) => segmentId);
    const [before, after] = [await idsOf(was), await idsOf(is)];
    const where = at(coll.name);
    const told = await this.call('diff', coll, () =>
      this.ask(life).diffSnapshots({ at: where, name: from.name }, { at: where, name: to.name }, never()),
    );
    if (told.is !== 'ok') return;
    const { added, removed, common } = told.value.segments;
    const sorted = (ids: readonly bigint[]) => ids.map(String).sort().join();
    const without = (ids: readonly bigint[], others: readonly bigint[]) =>
      sorted(ids.filter((id) => !others.includes(id)));
    const isRight =
      sorted(added.map(({ segmentId }) => segmentId)) === without(after, before) &&
      sorted(removed.map(({ segmentId }) => segmentId)) === without(before, after) &&
      common === after.filter((id) => before.includes(id)).length;
    check('exact', isRight, () => `${from.name} and ${to.name} of ${coll.name} are said to differ otherwise`);
  }

  /** Bytes of its objects that no live segment and no other snapshot names. */
  async #exclusiveBytes(record: SnapshotRecord): Promise<number> {
    const { catalog } = this.world.life.planes;
    const needed = new Set<string>();
    for (const other of catalog.find(snapshots, 'state', 'committed'))
      if (other.snapshotId !== record.snapshotId)
        for (const { key } of (await this.keeper.snapshotFiles(other)).files) needed.add(key);
    for (const segment of catalog.find(segments, 'state', 'flushed'))
      for (const { key } of allFiles(segment)) needed.add(key);
    const { files, metadata } = await this.keeper.snapshotFiles(record);
    const own = metadata.manifests.reduce((sum, { sizeBytes }) => sum + sizeBytes, record.metadataSizeBytes);
    return files.reduce((sum, { key, sizeBytes }) => (needed.has(key) ? sum : sum + sizeBytes), own);
  }
}
