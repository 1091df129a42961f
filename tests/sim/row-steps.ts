/** Writes: what is sent, and what the oracle is told of it. */
import { at, type Coll } from './model.ts';
import type { Entries } from './oracle.ts';
import { Violation } from './properties.ts';
import { ReadSteps } from './read-steps.ts';
import { deletesOf, insertParts, type Row, rowText } from './rows.ts';

export abstract class RowSteps extends ReadSteps {
  protected async write(coll: Coll): Promise<void> {
    const partition = this.one([...coll.partitions]);
    if (partition === undefined) return;
    const known = coll.oracle.settledKeys();
    const kind = known.length === 0 ? 0 : this.random.below(10);
    const name = kind < 4 ? 'insert' : kind < 7 ? 'upsert' : 'delete';
    const count = 1 + this.random.below(kind < 2 ? 8 : 3);
    const keys = new Set<bigint>();
    for (let i = 0; i < count; i++)
      keys.add(name === 'insert' || this.chance(10) ? ++this.key : (this.one(known) ?? ++this.key));
    const rows = [...keys].map((key): Row => ({ key, number: ++this.number }));
    const entries: Entries = rows.map((row) => ({
      key: row.key,
      value: name === 'delete' ? undefined : rowText(row, partition),
    }));
    const sent = coll.oracle.send(this.lastTs, entries);
    coll.inflight++;
    const outcome = await this.call(
      name,
      coll,
      async (life) => {
        const { collection, partitions } = this.ask(life).requireReady(at(coll.name));
        const partitionId = partitions.find((p) => p.name === partition)?.partitionId;
        if (partitionId === undefined)
          throw new Violation('exact', `partition ${partition} of ${coll.name} is lost`);
        const extra = this.extras.fieldFor(rows, collection.schema);
        const parts = [
          ...(name === 'insert' ? [] : deletesOf([...keys], collection.channels)),
          ...(name === 'delete'
            ? []
            : insertParts(rows, collection.schema, collection.channels, partitionId, extra)),
        ];
        const { plant } = this.world;
        return life.planes.streamingNode.write(coll.id, plant.write?.(parts) ?? parts);
      },
      ` ${partition} ${[...keys].join()}`,
    );
    coll.inflight--;
    if (outcome.is !== 'ok') return;
    coll.oracle.acknowledge(sent, outcome.value);
    if (outcome.value > this.lastTs) this.lastTs = outcome.value;
    if (outcome.value > this.acknowledgedTs) this.acknowledgedTs = outcome.value;
  }
}
