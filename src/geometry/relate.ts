/** Geometry predicates for worker threads: a batch of geometries against one constant. */
import { DbError } from '../errors/db-error.ts';
import type { Workers, WorkerTasks } from '../support/workers.ts';
import { isPoint } from './bounds.ts';
import type { JtsGeometry, Place, relations } from './jts.ts';
import { type Shape, shapeOf } from './shapes.ts';
import { shapeDistance } from './sphere.ts';

type Relation = keyof typeof relations;
/** Geometry `i` is `data.subarray(offsets[i], offsets[i + 1])`, as kept (wkb.ts). */
export interface GeometryBatch {
  readonly op: Relation | 'dwithin' | 'isvalid';
  /** All but `isvalid`; a point for `dwithin`. */
  readonly constant?: Uint8Array;
  /** Metres; `dwithin` only. */
  readonly distance?: number;
  readonly data: Uint8Array;
  readonly offsets: Uint32Array;
}

/** Answers: 0 no, 1 yes. */
export const NO_ANSWER = 2;

/** Compares a batch; the geometry first, the constant second. `NO_ANSWER` for pairs that cannot be compared. */
export type GeometryTester = (batch: GeometryBatch, signal?: AbortSignal) => Promise<Uint8Array>;

const TASK = 'test-geometries';

/** What a worker thread can do for this room. */
export const geometryTasks = (): WorkerTasks => ({
  async [TASK](batch: GeometryBatch) {
    const answers = await testGeometries(batch);
    return { output: answers, transfer: [answers.buffer] };
  },
});

export const workerTester =
  (workers: Workers): GeometryTester =>
  (batch, signal) =>
    workers.run<GeometryBatch, Uint8Array>(TASK, batch, [], signal);

/** On this thread: for tests, and for where there are no workers. */
export async function testGeometries(batch: GeometryBatch): Promise<Uint8Array<ArrayBuffer>> {
  const test = await testOf(batch);
  const { data, offsets } = batch;
  const answers = new Uint8Array(offsets.length - 1);
  for (let i = 0; i < answers.length; i++) answers[i] = test(data.subarray(offsets[i], offsets[i + 1]));
  return answers;
}

type Test = (wkb: Uint8Array) => number;

async function testOf({ op, constant, distance = 0 }: GeometryBatch): Promise<Test> {
  if (op === 'dwithin') return distanceTest(requireConstant(op, constant), distance);
  const jts = await import('./jts.ts');
  const built = (wkb: Uint8Array): JtsGeometry => jts.jtsOf(shapeOf(wkb));
  if (op === 'isvalid') return (wkb) => answered(() => jts.isValid(built(wkb)));
  const shape = shapeOf(requireConstant(op, constant));
  const other = jts.jtsOf(shape);
  const relation = jts.relations[op];
  const locate = isArea(shape) ? jts.areaLocator(other) : undefined;
  return (wkb) => {
    if (locate === undefined || !isPoint(wkb)) return answered(() => relation(built(wkb), other));
    return pointInArea[op]?.has(locate(built(wkb))) === true ? 1 : 0;
  };
}

function requireConstant(op: string, constant: Uint8Array | undefined): Uint8Array {
  if (constant === undefined) throw new DbError('parameter-invalid', `${op} compares with a geometry`);
  return constant;
}

const isArea = (shape: Shape): boolean =>
  (shape.kind === 'polygon' && shape.rings.length > 0) ||
  (shape.kind === 'polygons' && shape.parts.length > 0);

/** A point does nothing else to an area. */
const pointInArea: Partial<Readonly<Record<Relation, ReadonlySet<Place>>>> = {
  intersects: new Set<Place>(['inside', 'boundary']),
  within: new Set<Place>(['inside']),
  touches: new Set<Place>(['boundary']),
};

/** Pairs that JSTS cannot relate: invalid ones, and some collections. */
function answered(relate: () => boolean): number {
  try {
    return relate() ? 1 : 0;
  } catch {
    return NO_ANSWER;
  }
}

function distanceTest(constant: Uint8Array, distance: number): Test {
  const shape = shapeOf(constant);
  const [x = 0, y = 0] = shape.kind === 'point' ? shape.points : [];
  return (wkb) => (shapeDistance([x, y], shapeOf(wkb)) <= distance ? 1 : 0);
}
