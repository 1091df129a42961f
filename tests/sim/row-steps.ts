/** Writes and reads, and what the oracle says of them. */

import { Clients } from './clients.ts';
import { at, type Coll } from './model.ts';
import type { Entries } from './oracle.ts';
import { check, Violation } from './properties.ts';
import {
  deletesOf,
  fieldIdOf,
  inPartition,
  insertParts,
  type Row,
  rowsOf,
  rowText,
  schema,
  withoutPartition,
} from './rows.ts';
import type { Outcome } from './world.ts';

export abstract class RowSteps extends Clients {
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
        const parts = [
          ...(name === 'insert' ? [] : deletesOf([...keys], collection.channels)),
          ...(name === 'delete'
            ? []
            : insertParts(rows, collection.schema, collection.channels, partitionId)),
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
  }

  /** Every row, or those of one partition, against the oracle. Answers how it went. */
  async read(
    coll: Coll,
    partition = this.chance(40) ? this.one([...coll.partitions]) : undefined,
  ): Promise<Outcome<unknown>> {
    const { epoch } = coll;
    const from = this.lastTs;
    const outcome = await this.call('read', coll, async (life) => {
      const { collection, partitions } = this.ask(life).requireReady(at(coll.name));
      const partitionId = partitions.find((p) => p.name === partition)?.partitionId;
      const batch = await life.planes.queryNode.query({
        collectionId: collection.collectionId,
        outputFields: schema.fields.map(({ name }) => fieldIdOf(collection.schema, name)),
        ...(partitionId === undefined ? {} : { partitionIds: [partitionId] }),
      });
      return { rows: rowsOf(batch, collection.schema), to: this.ask(life).timestamp() };
    });
    if (outcome.is !== 'ok' || coll.epoch !== epoch || epoch % 2 === 1) return outcome;
    const { rows, to } = outcome.value;
    const show = partition === undefined ? withoutPartition : inPartition(partition);
    const wrong = coll.oracle.compareWithin(rows, from, to, show);
    check(
      'exact',
      wrong.length === 0,
      () => `read of ${coll.name}${partition ?? ''}: ${wrong.slice(0, 3).join('; ')}`,
    );
    return outcome;
  }
}
