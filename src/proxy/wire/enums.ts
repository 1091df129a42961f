/** Wire enums to our unions and back. Total both ways: a new member of a union does not compile without its number. */
import type { CompactionInfo, RestoreState } from '../../coordinator/api.ts';
import type { errorCodes } from '../../errors/codes.ts';
import type { ConsistencyLevel, SegmentLevel, SegmentState } from '../../model/records.ts';
import type { DataType } from '../../model/schema.ts';

/** The other direction of a table. */
const invert = <Name extends string>(table: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> =>
  new Map(Object.entries(table).map(([name, wire]) => [wire as number, name as Name]));

export const dataTypeToWire = {
  Bool: 1,
  Int8: 2,
  Int16: 3,
  Int32: 4,
  Int64: 5,
  Float: 10,
  Double: 11,
  VarChar: 21,
  Array: 22,
  JSON: 23,
  Geometry: 24,
  Timestamptz: 26,
  BinaryVector: 100,
  FloatVector: 101,
  Float16Vector: 102,
  BFloat16Vector: 103,
  SparseFloatVector: 104,
  Int8Vector: 105,
  ArrayOfVector: 106,
} as const satisfies Record<DataType, number>;
export const dataTypeFromWire = invert<DataType>(dataTypeToWire);

/** A column of struct arrays: it holds one column for each field of the struct. */
export const ARRAY_OF_STRUCT = 200;

/** Types of the wire that are refused, by the name the user knows. */
export const unservedDataTypes: ReadonlyMap<number, string> = new Map([
  [0, 'None'],
  [20, 'String'],
  [25, 'Text'],
  [27, 'Mol'],
  [28, 'Date'],
  [29, 'Time'],
  [30, 'Decimal'],
  [200, 'ArrayOfStruct'],
  [201, 'Struct'],
]);

/** The name of any data type of the wire, for messages. */
export const dataTypeName = (wire: number): string =>
  dataTypeFromWire.get(wire) ?? unservedDataTypes.get(wire) ?? `data type ${wire}`;

export const consistencyLevelToWire = {
  Strong: 0,
  Session: 1,
  Bounded: 2,
  Eventually: 3,
  Customized: 4,
} as const satisfies Record<ConsistencyLevel, number>;
export const consistencyLevelFromWire = invert<ConsistencyLevel>(consistencyLevelToWire);

export const restoreStateToWire = {
  pending: 1,
  executing: 2,
  completed: 3,
  failed: 4,
} as const satisfies Record<RestoreState, number>;

export const compactionStateToWire = {
  executing: 1,
  completed: 2,
} as const satisfies Record<CompactionInfo['state'], number>;

export const segmentStateToWire = {
  growing: 2,
  sealed: 3,
  flushed: 4,
  dropped: 6,
  /** As for segments of an import: nobody sees them. */
  writing: 7,
} as const satisfies Record<SegmentState, number>;

export const segmentLevelToWire = { L0: 1, L1: 2 } as const satisfies Record<SegmentLevel, number>;

export const loadStateToWire = { 'not-exist': 0, 'not-load': 1, loading: 2, loaded: 3 } as const;

export const indexStateToWire = { none: 0, 'in-progress': 2, finished: 3 } as const;

export const componentHealthy = 1;
export const componentAbnormal = 2;

type LegacyName = (typeof errorCodes)[keyof typeof errorCodes]['legacy'] | 'Success';
export const legacyErrorToWire: Readonly<Record<LegacyName, number>> = {
  Success: 0,
  UnexpectedError: 1,
  IllegalArgument: 5,
  IndexNotExist: 25,
};
