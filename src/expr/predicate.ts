/** The checked tree: every name resolved to a field id, every type known. Plain data, safe for the structured clone. */
import type { FieldId } from '../model/ids.ts';
import type { MatchMode } from '../text/match.ts';
import type { ArithmeticOp, CompareOp } from './syntax.ts';

/** Widths are the column's affair: an expression computes in Int64 and Double. `json` is known row by row. */
export type ValueType = 'int' | 'float' | 'text' | 'bool' | 'json';

export type Literal =
  /** `isTime`: microseconds since 1970 UTC. */
  | { readonly kind: 'int'; readonly value: bigint; readonly isTime?: true }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'bool'; readonly value: boolean };

/** A place inside a JSON field; no keys: the whole value. */
export interface JsonPath {
  readonly kind: 'json';
  readonly type: 'json';
  readonly fieldId: FieldId;
  readonly keys: readonly (string | number)[];
  /** A text that spells a number is that number. */
  readonly asNumber?: true;
}

export interface FieldValue {
  readonly kind: 'field';
  readonly type: Exclude<ValueType, 'json'>;
  readonly fieldId: FieldId;
  /** A Timestamptz: an integer to all who test rows. */
  readonly isTime?: true;
}

export interface ElementValue {
  readonly kind: 'element';
  readonly type: Exclude<ValueType, 'json'>;
  readonly fieldId: FieldId;
  readonly index: number;
}

export interface ArithmeticValue {
  readonly kind: 'arithmetic';
  /** `json`: integer or Double by what the row holds. */
  readonly type: 'int' | 'float' | 'json';
  readonly op: ArithmeticOp;
  readonly left: Value;
  readonly right: Value;
  readonly isTime?: true;
}

/** A moment some months of the calendar and then some microseconds later, or earlier. */
export interface MovedValue {
  readonly kind: 'moved';
  readonly type: 'int';
  readonly of: Value;
  readonly months: number;
  readonly micros: bigint;
  readonly isTime: true;
}

/** A field of type Array. */
export interface ArrayField {
  readonly kind: 'array';
  readonly fieldId: FieldId;
  readonly elementType: Exclude<ValueType, 'json'>;
}

export interface LengthValue {
  readonly kind: 'length';
  readonly type: 'int';
  readonly of: ArrayField | JsonPath;
}

export type Value =
  | Literal
  | FieldValue
  | ElementValue
  | JsonPath
  | LengthValue
  | ArithmeticValue
  | MovedValue;

/** int, float, text, bool as JavaScript has them. */
export type Scalar = bigint | number | string | boolean;
/** A scalar, or a JSON array to be found inside another. */
export type Constant = Scalar | readonly Constant[];

/** Terms of the text of a row: those of `text`, as the analyzer of the field cuts both. */
export interface MatchLeaf {
  readonly kind: 'match';
  readonly fieldId: FieldId;
  /** Of the analyzer. */
  readonly params: string;
  readonly text: string;
  readonly mode: MatchMode;
}

export const geometryOps = [
  'equals',
  'touches',
  'overlaps',
  'crosses',
  'contains',
  'intersects',
  'within',
  'dwithin',
  'isvalid',
] as const;
export type GeometryOp = (typeof geometryOps)[number];

/** Unknown also for a pair that cannot be related, because one is invalid in a way that no answer fits. */
export interface GeometryTest {
  readonly kind: 'geometry';
  readonly op: GeometryOp;
  readonly fieldId: FieldId;
  /** The constant, as geometries are kept; absent for `isvalid`. */
  readonly wkb?: Uint8Array;
  /** Metres; `dwithin` only, whose constant is a point. */
  readonly distance?: number;
}

/** How many of a row's items have to pass. */
export type Quantifier = 'any' | 'all' | 'least' | 'most' | 'exact';

/** Of the items of an array or a struct array. Known as soon as the items whose answer is unknown cannot change it. */
export interface ItemTest {
  readonly kind: 'items';
  readonly mode: Quantifier;
  /** Of `least`, `most` and `exact`. */
  readonly count: number;
  /** Any field of the struct, or the array: who tells how many items a row has. */
  readonly fieldId: FieldId;
  /** Its `field`s are read item by item. */
  readonly item: Predicate;
}

/** Tests that are unknown when what they read is null or missing, except `null` itself. */
export type Leaf =
  | { readonly kind: 'compare'; readonly op: CompareOp; readonly left: Value; readonly right: Value }
  /** Numbers of an int field are bigint, of a float field number; JSON mixes. */
  | { readonly kind: 'in'; readonly value: Value; readonly list: readonly Scalar[] }
  | { readonly kind: 'like'; readonly value: Value; readonly pattern: string }
  /** RE2; of JSON, what is no string does not match, for certain. */
  | { readonly kind: 'regex'; readonly value: Value; readonly pattern: string }
  /** Whether the array at a JSON path is this one. Unknown for what is no array. */
  | { readonly kind: 'same'; readonly value: JsonPath; readonly list: readonly Constant[] }
  | GeometryTest
  | ItemTest
  | {
      readonly kind: 'contains';
      readonly mode: 'any' | 'all';
      readonly array: ArrayField | JsonPath;
      readonly list: readonly Constant[];
    }
  | MatchLeaf
  /** Always true or false. A JSON path is null when it is missing, null, or holds containers without any scalar. */
  | {
      readonly kind: 'null';
      readonly value: { readonly kind: 'column'; readonly fieldId: FieldId } | JsonPath;
    };

/** Kleene logic over leaves. */
export type Predicate =
  | Leaf
  | { readonly kind: 'always'; readonly value: boolean }
  | { readonly kind: 'and' | 'or'; readonly items: readonly Predicate[] }
  | { readonly kind: 'not'; readonly item: Predicate };
