/** Changes of what a live collection is: fields that come and go, truncations, other names. */
import { isDbError } from '../../src/errors/db-error.ts';
import { AccountSteps } from './account-steps.ts';
import type { Life } from './life.ts';
import { at, type Coll } from './model.ts';
import { check } from './properties.ts';
import { extraField, extraOf, markOf } from './rows.ts';

export const HOME = 'default';
export const ATTIC = 'attic';
const ALIASES = ['owl', 'pig', 'rat'];

export abstract class AlterSteps extends AccountSteps {
  #marks = 0;
  readonly #aliases = new Set<string>();

  protected async alterSomehow(coll: Coll): Promise<void> {
    const draw = this.random.below(100);
    if (draw < 55) await this.alterField(coll);
    else if (draw < 75) await this.truncate(coll);
    else if (draw < 82) await this.moveAway(coll);
    else await this.alias(coll);
  }

  protected async alterField(coll: Coll): Promise<void> {
    const mark = markOf((await this.described(coll)).collection.schema);
    if (coll.extra === undefined) coll.extra = { mark };
    if (coll.isGone) return;
    coll.altered++;
    if (mark === undefined) await this.#addField(coll);
    else await this.#dropField(coll, mark);
    coll.altered++;
  }

  async #addField(coll: Coll): Promise<void> {
    const mark = String(++this.#marks);
    const field = extraField(mark);
    const outcome = await this.call('add-field', coll, (life) =>
      this.ask(life).addField(at(coll.name), field),
    );
    const is = markOf((await this.described(coll)).collection.schema);
    check(
      'exact',
      coll.isGone || is === mark || (is === undefined && outcome.is !== 'ok'),
      () => `${coll.name} has extra field ${is}, not ${mark}, which was added`,
    );
    coll.extra = { mark: is };
  }

  /** Reads under way may still ask for it. */
  async #dropField(coll: Coll, mark: string): Promise<void> {
    await this.shaking(coll, async () => {
      const isById = this.chance(50);
      const outcome = await this.call('drop-field', coll, (life) => {
        const { schema } = this.ask(life).requireReady(at(coll.name)).collection;
        const fieldId = BigInt(extraOf(schema)?.fieldId ?? 0);
        return this.ask(life).dropPart(
          at(coll.name),
          isById ? { kind: 'field-id', fieldId } : { kind: 'field', name: 'extra' },
        );
      });
      const is = markOf((await this.described(coll)).collection.schema);
      check(
        'exact',
        coll.isGone || is === undefined || (is === mark && outcome.is !== 'ok'),
        () => `${coll.name} has extra field ${is}, and ${mark} was dropped`,
      );
      coll.extra = { mark: is };
    });
  }

  /** No write and no capture is under way: each is on one side of it. */
  protected async truncate(coll: Coll): Promise<void> {
    if (coll.capturing > 0 || coll.restoring !== undefined) return;
    coll.isPaused = true;
    coll.isTruncating = true;
    while (coll.inflight > 0) await this.world.sleep(20);
    if (coll.capturing === 0 && !coll.isGone)
      await this.shaking(coll, async () => {
        const before = await this.#partitionIds(coll);
        const outcome = await this.call('truncate', coll, (life) =>
          this.ask(life).truncateCollection(at(coll.name)),
        );
        const isOther = (await this.#partitionIds(coll)) !== before;
        if (coll.isGone || (outcome.is !== 'ok' && !isOther)) return;
        const ts = await this.timestamp();
        this.lastTs = ts;
        coll.definedTs = ts;
        coll.oracle.changeAll(ts, () => undefined);
      });
    coll.isTruncating = false;
    coll.isPaused = false;
  }

  async #partitionIds(coll: Coll): Promise<string> {
    const { partitions } = await this.described(coll);
    return partitions.map(({ partitionId }) => String(partitionId)).join();
  }

  /** Into another database and back, with all that it is: nobody finds it by its name meanwhile. */
  protected async moveAway(coll: Coll): Promise<void> {
    if (coll.restoring !== undefined) return;
    await this.#attic();
    await this.shaking(coll, async () => {
      await this.#moved(coll, HOME, ATTIC, false);
      await this.world.sleep(this.random.below(500));
      if (this.#placeOf(coll, await this.world.up()) === ATTIC) await this.#moved(coll, ATTIC, HOME, true);
    });
  }

  /** `isStubborn`: until it is there. */
  async #moved(coll: Coll, from: string, to: string, isStubborn: boolean): Promise<void> {
    for (;;) {
      const outcome = await this.call('move', coll, (life) =>
        this.ask(life).renameCollection({ database: from, name: coll.name }, coll.name, to),
      );
      const life = await this.world.up();
      const place = this.#placeOf(coll, life);
      if (coll.isGone) return;
      const isRight = place === to || (place === from && outcome.is !== 'ok');
      check('exact', isRight, () => `${coll.name} was moved to ${to}, and is in ${place}`);
      if (place === to) {
        const isLeft = this.ask(life)
          .listCollections(from)
          .some(({ collection }) => collection.collectionId === coll.id);
        check('exact', !isLeft, () => `${coll.name} was moved to ${to}, and is in ${from}, too`);
      }
      if (place === to || !isStubborn) return;
      await this.world.sleep(50);
    }
  }

  #placeOf(coll: Coll, life: Life): string | undefined {
    try {
      return this.ask(life).describeCollectionById(coll.id).databaseName;
    } catch (error) {
      if (isDbError(error, 'collection-not-found')) return undefined;
      throw error;
    }
  }

  async #attic(): Promise<void> {
    const isThere = async () =>
      this.ask(await this.world.up())
        .listDatabases()
        .some(({ name }) => name === ATTIC);
    while (!(await isThere()))
      await this.call('create-database', undefined, async (life) => {
        if (
          !this.ask(life)
            .listDatabases()
            .some(({ name }) => name === ATTIC)
        )
          await this.ask(life).createDatabase(ATTIC, {});
      });
  }

  /** An alias from its making to its end: at each moment it means one collection, also after a restart. */
  protected async alias(coll: Coll): Promise<void> {
    const alias = this.one(ALIASES.filter((name) => !this.#aliases.has(name)));
    if (alias === undefined) return;
    this.#aliases.add(alias);
    let meant = await this.#aliased(alias, undefined, coll);
    const other = this.pick((c) => c !== coll && !c.isBusy);
    if (other !== undefined && meant !== undefined && this.chance(70))
      await this.busy(other, async () => {
        meant = await this.#aliased(alias, meant, other);
        await this.#endAlias(alias, meant);
      });
    else await this.#endAlias(alias, meant);
    this.#aliases.delete(alias);
  }

  /** Answers what it means now. */
  async #aliased(alias: string, was: Coll | undefined, wanted: Coll): Promise<Coll | undefined> {
    const outcome = await this.call(was === undefined ? 'alias' : 'alter-alias', wanted, (life) =>
      was === undefined
        ? this.ask(life).createAlias(at(wanted.name), alias)
        : this.ask(life).alterAlias(at(wanted.name), alias),
    );
    const id = this.#meaning(await this.world.up(), alias);
    const meant = [wanted, was].find((each) => each?.id === id);
    check(
      'exact',
      outcome.is === 'ok' ? id === wanted.id : id === was?.id || id === wanted.id,
      () => `alias ${alias} of ${wanted.name} means collection ${id}`,
    );
    return meant;
  }

  #meaning(life: Life, alias: string): Coll['id'] | undefined {
    try {
      return this.ask(life).describeCollection(at(alias)).collection.collectionId;
    } catch (error) {
      if (isDbError(error, 'collection-not-found')) return undefined;
      throw error;
    }
  }

  async #endAlias(alias: string, meant: Coll | undefined): Promise<void> {
    await this.world.sleep(this.random.below(1500));
    const life = await this.world.up();
    const id = this.#meaning(life, alias);
    check('exact', id === meant?.id, () => `alias ${alias} means collection ${id}, not ${meant?.id}`);
    for (;;) {
      const outcome = await this.call('drop-alias', undefined, (now) => this.ask(now).dropAlias('', alias));
      const left = this.#meaning(await this.world.up(), alias);
      check(
        'exact',
        outcome.is !== 'ok' || left === undefined,
        () => `alias ${alias} was dropped, and is there`,
      );
      if (left === undefined) return;
      await this.world.sleep(50);
    }
  }
}
