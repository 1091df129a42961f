import type { FieldId } from './ids.ts';

/** Every data type of the wire. Those outside `servedTypes` are refused by name when a collection is created. */
export type DataType =
  | 'Bool'
  | 'Int8'
  | 'Int16'
  | 'Int32'
  | 'Int64'
  | 'Float'
  | 'Double'
  | 'VarChar'
  | 'JSON'
  | 'Array'
  | 'FloatVector';

/** What an Array field holds. */
export type ElementType = Exclude<DataType, 'JSON' | 'Array' | 'FloatVector'>;

/** A default of a scalar field: bigint for Int64, number for the other numbers, string for VarChar and JSON text. */
export type ScalarValue = boolean | number | bigint | string;

export interface FieldSchema {
  readonly fieldId: FieldId;
  readonly name: string;
  readonly description: string;
  readonly dataType: DataType;
  /** Array only. */
  readonly elementType?: ElementType;
  /** FloatVector only: 1 to 32768. */
  readonly dim?: number;
  /** VarChar, and Array of VarChar: bytes of UTF-8, 1 to 65535. */
  readonly maxLength?: number;
  /** Array only: elements, 1 to 4096. */
  readonly maxCapacity?: number;
  readonly isPrimaryKey: boolean;
  readonly autoId: boolean;
  readonly nullable: boolean;
  readonly defaultValue?: ScalarValue;
  /** The hidden JSON field `$meta` that holds what a row has beyond the schema. */
  readonly isDynamic: boolean;
  /** Type parameters as given (`dim`, `max_length`, `mmap.enabled`, …), returned by describe. */
  readonly typeParams: Readonly<Record<string, string>>;
}

export interface CollectionSchema {
  readonly description: string;
  /** User fields in the order given, then `$meta` when the dynamic field is on. */
  readonly fields: readonly FieldSchema[];
  readonly enableDynamicField: boolean;
  /** Grows with every change of the schema; a restored collection starts with its source's. */
  readonly version: number;
}

export const DYNAMIC_FIELD_NAME = '$meta';
/** `$meta` before it has an id. */
export const dynamicField: FieldSchema = {
  fieldId: 0 as FieldId,
  name: DYNAMIC_FIELD_NAME,
  description: 'dynamic schema',
  dataType: 'JSON',
  isPrimaryKey: false,
  autoId: false,
  nullable: false,
  isDynamic: true,
  typeParams: {},
};
export const FIRST_USER_FIELD_ID = 100;
