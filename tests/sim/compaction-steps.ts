/** Compactions on request, followed to their end. Those that nobody asks for run beside. */
import type { CompactionId } from '../../src/model/ids.ts';
import { Chaos } from './chaos.ts';
import type { Life } from './life.ts';
import { at, type Coll } from './model.ts';
import { check } from './properties.ts';

export abstract class CompactionSteps extends Chaos {
  /** With faults gone: it ends, and the rows are what they were. */
  protected async compactNow(coll: Coll): Promise<void> {
    await (await this.compact(coll))?.ended;
    check('ends', await this.isAllRead(coll), () => `${coll.name} cannot be read when it is compacted`);
  }

  /** Followed to its end by a client of its own. */
  async compact(coll: Coll): Promise<{ readonly ended: Promise<void> } | undefined> {
    const isDeletesOnly = this.chance(20);
    const name = this.chance(30) ? this.one([...coll.partitions]) : undefined;
    const asked = { life: undefined as Life | undefined };
    const outcome = await this.call('compact', coll, (life) => {
      asked.life = life;
      const { partitions } = this.ask(life).requireReady(at(coll.name));
      const partitionId = partitions.find((p) => p.name === name)?.partitionId;
      return this.ask(life).compact({
        collectionId: coll.id,
        isDeletesOnly,
        ...(partitionId === undefined ? {} : { partitionId }),
      });
    });
    if (outcome.is !== 'ok' || asked.life === undefined) return undefined;
    const ended = this.compacted(asked.life, outcome.value.compactionId);
    this.spawn(ended);
    return { ended };
  }

  /** A restart forgets it: then what it had not done is left to the next one. */
  protected async compacted(life: Life, compactionId: CompactionId): Promise<void> {
    while (!life.isOver) {
      if (this.ask(life).compactionState(compactionId).state === 'completed') return;
      await this.world.sleep(100);
    }
  }
}
