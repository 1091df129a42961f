/** What the names of a filter mean: fields of the schema, keys of the dynamic field, template variables. */
import type { FieldId } from '../model/ids.ts';
import {
  type CollectionSchema,
  type DataType,
  DYNAMIC_FIELD_NAME,
  type FieldSchema,
  isVectorType,
  type StructFieldSchema,
} from '../model/schema.ts';
import type { TimeZone } from '../timestamptz/zones.ts';
import { nearestName } from './nearest.ts';
import type { ArrayField, ElementValue, FieldValue, JsonPath, MatchLeaf, ValueType } from './predicate.ts';
import { invalidAt, type Syntax } from './syntax.ts';
import { shorten } from './tokens.ts';

/**
 * The value of a template variable. A bigint is an integer, a number a Double (so `7` divides like `7.0`), as the wire
 * tells them apart.
 */
export type TemplateValue = bigint | number | string | boolean | readonly TemplateValue[];
/** By name. */
export type TemplateValues = ReadonlyMap<string, TemplateValue>;

/** What a name can stand for. */
export type Named = FieldValue | ElementValue | JsonPath | ArrayField;
type NameSyntax = Extract<Syntax, { kind: 'name' }>;
type ItemSyntax = Extract<Syntax, { kind: 'item' }>;

/** What `$` means: the structs of a struct array, or the items of an array. */
export type Items =
  | { readonly kind: 'struct'; readonly struct: StructFieldSchema; readonly fields: readonly FieldSchema[] }
  | { readonly kind: 'array'; readonly field: FieldSchema };

const valueTypes: Readonly<Record<DataType, ValueType | 'array' | 'vector' | 'geometry'>> = {
  Bool: 'bool',
  Int8: 'int',
  Int16: 'int',
  Int32: 'int',
  Int64: 'int',
  Float: 'float',
  Double: 'float',
  VarChar: 'text',
  JSON: 'json',
  Array: 'array',
  Timestamptz: 'int',
  Geometry: 'geometry',
  FloatVector: 'vector',
  BinaryVector: 'vector',
  Float16Vector: 'vector',
  BFloat16Vector: 'vector',
  Int8Vector: 'vector',
  SparseFloatVector: 'vector',
  ArrayOfVector: 'vector',
};

/** The type of the items of an Array. */
function scalarType({ elementType }: FieldSchema): Exclude<ValueType, 'json'> | undefined {
  const type = elementType === undefined ? undefined : valueTypes[elementType];
  return type === undefined || type === 'array' || type === 'vector' || type === 'json' || type === 'geometry'
    ? undefined
    : type;
}

function hintOf(wrong: string, names: readonly string[]): string {
  const near = nearestName(wrong, names);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}

/** Resolves the names of one filter and remembers the fields it met. */
export class Scope {
  readonly #text: string;
  readonly #schema: CollectionSchema;
  readonly #templates: TemplateValues;
  readonly #fields = new Set<FieldId>();
  readonly #matches: MatchLeaf[] = [];
  /** Moments that are written without an offset are told in it. */
  readonly zone: TimeZone;
  #items: Items | undefined;

  constructor(text: string, schema: CollectionSchema, templates: TemplateValues, zone: TimeZone) {
    this.#text = text;
    this.#schema = schema;
    this.#templates = templates;
    this.zone = zone;
  }

  /** Runs `check` where `$` means one of `items`, and names mean nothing. */
  overItems<T>(items: Items, check: () => T): T {
    this.#items = items;
    try {
      return check();
    } finally {
      this.#items = undefined;
    }
  }

  get isOverItems(): boolean {
    return this.#items !== undefined;
  }

  /** Fields met so far. */
  get fields(): readonly FieldId[] {
    return [...this.#fields];
  }

  /** Matches of texts met so far. */
  get matches(): readonly MatchLeaf[] {
    return this.#matches;
  }

  noteMatch(leaf: MatchLeaf): MatchLeaf {
    this.#matches.push(leaf);
    return leaf;
  }

  /** A field by its name. */
  field(name: string): FieldSchema | undefined {
    const field = this.#schema.fields.find((each) => each.name === name);
    if (field !== undefined) this.#fields.add(field.fieldId);
    return field;
  }

  fail(at: number, message: string): Error {
    return invalidAt(this.#text, at, message);
  }

  get text(): string {
    return this.#text;
  }

  resolve(node: NameSyntax): Named {
    this.#refuseInItems(node);
    const field = this.#field(node.name);
    if (field === undefined) return this.#dynamic(node);
    this.#fields.add(field.fieldId);
    return this.#fieldValue(node, field);
  }

  #field(wanted: string): FieldSchema | undefined {
    return this.#schema.fields.find(({ name }) => name === wanted);
  }

  #refuseInItems(node: NameSyntax): void {
    if (this.#items === undefined) return;
    const form = this.#items.kind === 'struct' ? '$[field]' : '$';
    throw this.fail(
      node.at,
      `'${shorten(node.name)}' is not part of an item; its values are reached as ${form}`,
    );
  }

  /** The struct array, or the array, whose items a condition is asked of. */
  itemsOf(node: Syntax): Items {
    if (node.kind !== 'name' || node.keys.length > 0)
      throw this.fail(node.at, 'expected a struct array or an Array field');
    this.#refuseInItems(node);
    const struct = this.#struct(node.name);
    if (struct !== undefined)
      return {
        kind: 'struct',
        struct,
        fields: this.#schema.fields.filter(({ structFieldId }) => structFieldId === struct.fieldId),
      };
    const field = this.#field(node.name);
    if (field?.dataType === 'Array') return { kind: 'array', field };
    if (field === undefined) throw this.#unknown(node);
    throw this.fail(
      node.at,
      `field '${node.name}' is ${field.dataType}, neither a struct array nor an Array`,
    );
  }

  /** Marks a field as one the evaluation reads. */
  reads({ fieldId }: Pick<FieldSchema, 'fieldId'>): FieldId {
    this.#fields.add(fieldId);
    return fieldId;
  }

  /** `$` and `$[name]`. */
  item(node: ItemSyntax): FieldValue {
    const items = this.#items;
    if (items === undefined)
      throw this.fail(node.at, "'$' stands only in the condition of element_filter and the MATCH functions");
    if (items.kind === 'array') {
      if (node.name !== undefined)
        throw this.fail(node.at, `the items of '${items.field.name}' have no fields; write $`);
      return this.#itemOf(node, items.field);
    }
    const { struct, fields } = items;
    const shortName = (field: FieldSchema): string => field.name.slice(struct.name.length + 1, -1);
    if (node.name === undefined) throw this.fail(node.at, `write $[field] for a field of '${struct.name}'`);
    const field = fields.find((each) => shortName(each) === node.name);
    if (field !== undefined) return this.#itemOf(node, field);
    const hint = hintOf(node.name, fields.map(shortName));
    throw this.fail(node.at, `the structs of '${struct.name}' have no field '${shorten(node.name)}'${hint}`);
  }

  #itemOf(node: ItemSyntax, field: FieldSchema): FieldValue {
    const type = scalarType(field);
    if (type === undefined)
      throw this.fail(node.at, `field '${field.name}' holds vectors; filters test scalars`);
    return { kind: 'field', type, fieldId: this.reads(field) };
  }

  /** The field itself, for tests of null; of a struct array one of its fields, which are null together. */
  column(node: NameSyntax): FieldId | undefined {
    this.#refuseInItems(node);
    if (node.keys.length > 0) return undefined;
    const struct = this.#struct(node.name);
    const field =
      struct === undefined
        ? this.#field(node.name)
        : this.#schema.fields.find(({ structFieldId }) => structFieldId === struct.fieldId);
    if (field === undefined) return undefined;
    if (struct === undefined && isVectorType(field.dataType)) throw this.#vector(node);
    return this.reads(field);
  }

  #struct(wanted: string): StructFieldSchema | undefined {
    return this.#schema.structs?.find(({ name }) => name === wanted);
  }

  /** The first argument of the geometry functions. */
  geometry(node: Syntax): FieldId {
    if (node.kind !== 'name' || node.keys.length > 0) throw this.fail(node.at, 'expected a Geometry field');
    this.#refuseInItems(node);
    const field = this.#field(node.name);
    if (field === undefined) throw this.#unknown(node);
    if (field.dataType !== 'Geometry')
      throw this.fail(node.at, `field '${node.name}' is ${field.dataType}, not Geometry`);
    return this.reads(field);
  }

  template(name: string, at: number): TemplateValue {
    const value = this.#templates.get(name);
    if (value !== undefined) return value;
    const near = nearestName(name, [...this.#templates.keys()]);
    const hint = near === undefined ? '' : `; did you mean '${near}'?`;
    throw this.fail(at, `no value was given for the template variable '${shorten(name)}'${hint}`);
  }

  #fieldValue(node: NameSyntax, field: FieldSchema): Named {
    const { fieldId, name } = field;
    const type = valueTypes[field.dataType];
    if (type === 'json') return { kind: 'json', type, fieldId, keys: node.keys };
    if (type === 'vector') throw this.#vector(node);
    if (type === 'geometry')
      throw this.fail(node.at, `field '${name}' is Geometry; it is tested with ST_INTERSECTS and its like`);
    if (type === 'array') return this.#arrayValue(node, field);
    if (node.keys.length > 0)
      throw this.fail(node.at, `field '${name}' is ${field.dataType}; only JSON and Array fields have keys`);
    return field.dataType === 'Timestamptz'
      ? { kind: 'field', type, fieldId, isTime: true }
      : { kind: 'field', type, fieldId };
  }

  #arrayValue(node: NameSyntax, field: FieldSchema): Named {
    const { fieldId, name } = field;
    const type = scalarType(field);
    if (type === undefined) throw this.fail(node.at, `field '${name}' has no element type`);
    const [index, ...more] = node.keys;
    if (index === undefined) return { kind: 'array', fieldId, elementType: type };
    if (typeof index === 'string' || more.length > 0)
      throw this.fail(node.at, `field '${name}' is an Array; its elements are reached as ${name}[0]`);
    return { kind: 'element', type, fieldId, index };
  }

  #dynamic(node: NameSyntax): JsonPath {
    const meta = this.#schema.fields.find(({ isDynamic }) => isDynamic);
    const struct = this.#struct(node.name);
    if (struct !== undefined)
      throw this.fail(
        node.at,
        `'${struct.name}' is a struct array; use MATCH_ANY, or one of its fields as ${struct.name}[field]`,
      );
    if (meta === undefined || !this.#schema.enableDynamicField || node.name.includes('['))
      throw this.#unknown(node);
    this.#fields.add(meta.fieldId);
    const keys = node.name === DYNAMIC_FIELD_NAME ? node.keys : [node.name, ...node.keys];
    return { kind: 'json', type: 'json', fieldId: meta.fieldId, keys };
  }

  #unknown(node: NameSyntax): Error {
    const names = [...this.#schema.fields, ...(this.#schema.structs ?? [])].map(({ name }) => name);
    return this.fail(node.at, `field '${shorten(node.name)}' does not exist${hintOf(node.name, names)}`);
  }

  #vector(node: NameSyntax): Error {
    return this.fail(node.at, `field '${node.name}' is a vector; filters test scalar fields`);
  }
}
