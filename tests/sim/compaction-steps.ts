/** Compactions on request, followed to their end. Those that nobody asks for run beside. */
import type { CompactionId } from '../../src/model/ids.ts';
import { Chaos } from './chaos.ts';
import type { Life } from './life.ts';
import { at, type Coll } from './model.ts';

export abstract class CompactionSteps extends Chaos {
  protected async compact(coll: Coll): Promise<void> {
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
    if (outcome.is !== 'ok' || asked.life === undefined) return;
    this.spawned.push(this.compacted(asked.life, outcome.value.compactionId));
  }

  /** A restart forgets it: then what it had not done is left to the next one. */
  protected async compacted(life: Life, compactionId: CompactionId): Promise<void> {
    while (!life.isOver) {
      if (this.ask(life).compactionState(compactionId).state === 'completed') return;
      await this.world.sleep(100);
    }
  }
}
