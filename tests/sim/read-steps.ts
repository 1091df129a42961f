/** Reads of every kind, each against the rows of one moment between its call and its answer. */

import { type CheckedFilter, filterOf } from '../../src/expr/check.ts';
import type { PartitionId } from '../../src/model/ids.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import { floatQueries } from '../vectors.ts';
import { Clients } from './clients.ts';
import type { Life } from './life.ts';
import { at, type Coll } from './model.ts';
import type { Value } from './oracle.ts';
import { check } from './properties.ts';
import { question } from './questions.ts';
import {
  DIM,
  distanceTo,
  type Extras,
  extraOf,
  fieldIdOf,
  inPartition,
  listOf,
  rowsOf,
  schema,
  withoutPartition,
} from './rows.ts';
import type { Outcome } from './world.ts';

type Rows = ReadonlyMap<bigint, string>;

interface Asked {
  readonly extras: Extras;
  readonly life: Life;
  readonly of: CollectionSchema;
  readonly request: {
    readonly collectionId: Coll['id'];
    readonly partitionIds?: readonly PartitionId[];
    readonly filter?: CheckedFilter;
  };
}

interface Asking<T> {
  readonly name: string;
  readonly partition: string | undefined;
  readonly filter?: string;
  readonly ask: (asked: Asked) => Promise<T>;
  /** What is wrong with the answer when it is of a moment from `from` to `to`. */
  readonly wrong: (answer: T, from: bigint, to: bigint) => readonly string[];
}

const MORE_THAN_ALL = 1000;

export abstract class ReadSteps extends Clients {
  /** A read as clients make them. */
  protected async readSomehow(coll: Coll): Promise<void> {
    const partition = this.chance(40) ? this.one([...coll.partitions]) : undefined;
    const draw = this.random.below(100);
    if (draw < 35) await this.read(coll, partition);
    else if (draw < 50) await this.filtered(coll, partition);
    else if (draw < 60) await this.page(coll, partition);
    else if (draw < 73) await this.count(coll, partition);
    else if (draw < 88) await this.search(coll, partition);
    else await this.nearest(coll, partition);
  }

  /** Every row, or those of one partition. Answers how it went. */
  read(coll: Coll, partition: string | undefined): Promise<Outcome<unknown>> {
    const show = showing(partition);
    return this.#answered<Rows>(coll, {
      name: 'read',
      partition,
      ask: (asked) => rowsAsked(asked),
      wrong: (rows, from, to) => coll.oracle.compareWithin(rows, from, to, show),
    });
  }

  protected filtered(coll: Coll, partition: string | undefined): Promise<Outcome<unknown>> {
    const { filter, show } = this.#question(coll, partition);
    return this.#answered<Rows>(coll, {
      name: 'filter',
      partition,
      filter,
      ask: (asked) => rowsAsked(asked),
      wrong: (rows, from, to) => coll.oracle.compareWithin(rows, from, to, show),
    });
  }

  protected count(coll: Coll, partition: string | undefined): Promise<Outcome<unknown>> {
    const { filter, show } = this.#question(coll, partition);
    const isFiltered = this.chance(50);
    const all = showing(partition);
    return this.#answered<number>(coll, {
      name: 'count',
      partition,
      ...(isFiltered ? { filter } : {}),
      ask: ({ life, request }) => life.planes.queryNode.count(request),
      wrong: (count, from, to) => coll.oracle.countWithin(count, from, to, isFiltered ? show : all),
    });
  }

  /** More hits are wanted than there are rows: an exact scan finds all of them, a graph may miss some and invents none. */
  protected search(coll: Coll, partition: string | undefined): Promise<Outcome<unknown>> {
    const { filter, show } = this.#question(coll, partition);
    const isFiltered = this.chance(30);
    const shown = isFiltered ? show : showing(partition);
    const query = Array.from({ length: DIM }, () => this.random.below(20));
    const isExact = coll.index === 'FLAT';
    return this.#answered<Rows>(coll, {
      name: 'search',
      partition,
      ...(isFiltered ? { filter } : {}),
      ask: (asked) => hitsAsked(asked, query),
      wrong: (rows, from, to) =>
        isExact
          ? coll.oracle.compareWithin(rows, from, to, shown)
          : coll.oracle.partWithin(rows, from, to, shown),
    });
  }

  /** The first rows by key, and no others. */
  protected page(coll: Coll, partition: string | undefined): Promise<Outcome<unknown>> {
    const { filter, show } = this.#question(coll, partition);
    const limit = 1 + this.random.below(6);
    return this.#answered<Rows>(coll, {
      name: 'page',
      partition,
      filter,
      ask: (asked) => rowsAsked(asked, limit),
      wrong: (rows, from, to) =>
        coll.oracle.firstWithin(rows, { limit, rank: (key) => Number(key) }, from, to, show),
    });
  }

  /** The nearest few: as an exact scan finds them; a graph may find others, and none that are not there. */
  protected nearest(coll: Coll, partition: string | undefined): Promise<Outcome<unknown>> {
    const shown = showing(partition);
    const query = Array.from({ length: DIM }, () => this.random.below(20));
    const limit = 1 + this.random.below(6);
    const rank = (_: bigint, value: string) => distanceTo(query, value);
    return this.#answered<Rows>(coll, {
      name: 'nearest',
      partition,
      ask: (asked) => hitsAsked(asked, query, limit),
      wrong: (rows, from, to) =>
        coll.index === 'FLAT'
          ? coll.oracle.firstWithin(rows, { limit, rank }, from, to, shown)
          : coll.oracle.partWithin(rows, from, to, shown),
    });
  }

  #question(coll: Coll, partition: string | undefined) {
    const { filter, show } = question(this.random, [...coll.oracle.keys()], this.number);
    const isIn = (value: Value) => partition === undefined || value?.startsWith(`${partition}\t`) === true;
    return { filter, show: (value: Value) => (isIn(value) ? show(value) : undefined) };
  }

  async #answered<T>(coll: Coll, asking: Asking<T>): Promise<Outcome<unknown>> {
    const { name, partition, filter, ask, wrong } = asking;
    const { epoch } = coll;
    let from = this.acknowledgedTs;
    if (coll.definedTs > from) from = coll.definedTs;
    const outcome = await this.call(name, coll, async (life) => {
      const { collection, partitions } = this.ask(life).requireReady(at(coll.name));
      const partitionId = partitions.find((p) => p.name === partition)?.partitionId;
      const answer = await ask({
        life,
        extras: this.extras,
        of: collection.schema,
        request: {
          collectionId: collection.collectionId,
          ...(partitionId === undefined ? {} : { partitionIds: [partitionId] }),
          ...(filter === undefined ? {} : { filter: filterOf(filter, collection.schema) }),
        },
      });
      return { answer, to: await this.ask(life).timestamp() };
    });
    if (outcome.is !== 'ok' || coll.epoch !== epoch || epoch % 2 === 1) return outcome;
    const { answer, to } = outcome.value;
    const found = wrong(answer, from, to);
    const of = `${coll.name} ${partition ?? ''} ${filter ?? ''}`;
    check('exact', found.length === 0, () => `${name} of ${of}: ${found.slice(0, 3).join('; ')}`);
    return outcome;
  }
}

const showing = (partition: string | undefined) =>
  partition === undefined ? withoutPartition : inPartition(partition);

const outputs = (of: CollectionSchema) => {
  const extra = extraOf(of);
  const own = schema.fields.map(({ name }) => fieldIdOf(of, name));
  return extra === undefined ? own : [...own, extra.fieldId];
};

async function rowsAsked({ life, of, request, extras }: Asked, limit?: number): Promise<Rows> {
  const bound = limit === undefined ? {} : { limit };
  const answer = await life.planes.queryNode.query({ ...request, ...bound, outputFields: outputs(of) });
  return rowsOf(answer, of, extras);
}

/** The rows of the hits; one whose score is not its distance, or that is out of order, is not a row of ours. */
async function hitsAsked(
  { life, of, request, extras }: Asked,
  query: readonly number[],
  topK = MORE_THAN_ALL,
): Promise<Rows> {
  const { rows, keys, scores } = await life.planes.queryNode.search({
    ...request,
    fieldId: fieldIdOf(of, 'vec'),
    queries: floatQueries(query.length, query),
    queryCount: 1,
    topK,
    offset: 0,
    metric: 'L2',
    outputFields: outputs(of),
  });
  const hits = new Map<bigint, string>();
  listOf(rows, of, extras).forEach(({ key, value }, i) => {
    const score = scores[i] ?? Number.NaN;
    const isRight =
      keys.values[i] === key && score === distanceTo(query, value) && score >= (scores[i - 1] ?? 0);
    hits.set(key, hits.has(key) ? 'twice' : isRight ? value : `${value} at ${score}`);
  });
  return hits;
}
