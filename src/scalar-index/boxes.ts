/** Rows whose boxes may be in a relation with a geometry; which are, is for an exact test to say. */
import Flatbush from 'flatbush';
import type { GeometryTest } from '../expr/predicate.ts';
import { type Bounds, boundsOf, isEmptyBounds } from '../geometry/bounds.ts';
import { EARTH_RADIUS_METERS } from '../geometry/sphere.ts';
import { setBit, wordsFor } from './bits.ts';
import type { BoxIndexData } from './definition.ts';
import type { Paced } from './paced.ts';

/** Units for a box found. */
const COST_PER_BOX = 3;
/** More candidates, or more of the rows, would take long to find, and save little. */
const MAX_FOUND = 100_000;
const MAX_FOUND_SHARE = 0.25;
/** So that rounding never decides against a row. */
const SLACK = 1.000001;

export class Boxes {
  readonly #data: BoxIndexData;
  readonly #tree: Flatbush | undefined;

  constructor(data: BoxIndexData) {
    this.#data = data;
    this.#tree = data.tree === undefined ? undefined : Flatbush.from(data.tree);
  }

  /** Undefined: boxes tell nothing of the test. */
  async candidates(test: GeometryTest, paced: Paced): Promise<Uint32Array | undefined> {
    const { wkb } = test;
    if (wkb === undefined) return undefined;
    const bounds = boundsOf(wkb);
    // What is empty equals what is empty, which is in no tree.
    if (isEmptyBounds(bounds)) return undefined;
    const { rows, rowCount } = this.#data;
    const words = new Uint32Array(wordsFor(rowCount));
    const tree = this.#tree;
    if (tree === undefined) return words;
    const box = test.op === 'dwithin' ? reach(bounds, test.distance ?? 0, tree) : bounds;
    const most = Math.min(MAX_FOUND, rowCount * MAX_FOUND_SHARE);
    let found = 0;
    const areMany = tree.collides(...box, (item) => {
      found++;
      setBit(words, rows[item] as number);
      return found > most;
    });
    await paced(found * COST_PER_BOX);
    return areMany ? undefined : words;
  }
}

const degrees = (radians: number): number => (radians * 180) / Math.PI;
const ALL_ROUND = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

/** What lies within a distance in metres of a point. Longitudes come round: near the poles, and where they do, all of them count. */
function reach([x, y]: Bounds, distance: number, { minX, maxX }: Flatbush): [number, number, number, number] {
  const angle = (distance / EARTH_RADIUS_METERS) * SLACK + 1e-12;
  const south = y - degrees(angle);
  const north = y + degrees(angle);
  const [west, east] = longitudes(x, y, angle, south > -90 && north < 90);
  const comesRound = minX < -180 || maxX > 180 || west < -180 || east > 180;
  return comesRound ? [ALL_ROUND[0], south, ALL_ROUND[1], north] : [west, south, east, north];
}

function longitudes(x: number, y: number, angle: number, isClear: boolean): readonly [number, number] {
  if (!isClear || angle >= Math.PI / 2) return ALL_ROUND;
  const share = Math.sin(angle) / Math.cos((y * Math.PI) / 180);
  if (!(share < 1)) return ALL_ROUND;
  const width = degrees(Math.asin(share)) * SLACK + 1e-9;
  return [x - width, x + width];
}
