/** What the names of a filter mean: fields of the schema, keys of the dynamic field, template variables. */
import type { FieldId } from '../model/ids.ts';
import {
  type CollectionSchema,
  type DataType,
  DYNAMIC_FIELD_NAME,
  type FieldSchema,
  isVectorType,
} from '../model/schema.ts';
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

const valueTypes: Readonly<Record<DataType, ValueType | 'array' | 'vector'>> = {
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
  Geometry: 'vector',
  FloatVector: 'vector',
  BinaryVector: 'vector',
  Float16Vector: 'vector',
  BFloat16Vector: 'vector',
  Int8Vector: 'vector',
  SparseFloatVector: 'vector',
  ArrayOfVector: 'vector',
};

/** Resolves the names of one filter and remembers the fields it met. */
export class Scope {
  readonly #text: string;
  readonly #schema: CollectionSchema;
  readonly #templates: TemplateValues;
  readonly #fields = new Set<FieldId>();
  readonly #matches: MatchLeaf[] = [];

  constructor(text: string, schema: CollectionSchema, templates: TemplateValues) {
    this.#text = text;
    this.#schema = schema;
    this.#templates = templates;
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
    const field = this.#schema.fields.find(({ name }) => name === node.name);
    if (field === undefined) return this.#dynamic(node);
    this.#fields.add(field.fieldId);
    return this.#fieldValue(node, field);
  }

  /** The field itself, for tests of null. */
  column(node: NameSyntax): FieldId | undefined {
    const field = this.#schema.fields.find(({ name }) => name === node.name);
    if (field === undefined || node.keys.length > 0) return undefined;
    if (isVectorType(field.dataType)) throw this.#vector(node);
    this.#fields.add(field.fieldId);
    return field.fieldId;
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
    if (type === 'array') return this.#arrayValue(node, field);
    if (node.keys.length > 0)
      throw this.fail(node.at, `field '${name}' is ${field.dataType}; only JSON and Array fields have keys`);
    return { kind: 'field', type, fieldId };
  }

  #arrayValue(node: NameSyntax, { fieldId, name, elementType }: FieldSchema): Named {
    const type = elementType === undefined ? undefined : valueTypes[elementType];
    if (type === undefined || type === 'array' || type === 'vector' || type === 'json')
      throw this.fail(node.at, `field '${name}' has no element type`);
    const [index, ...more] = node.keys;
    if (index === undefined) return { kind: 'array', fieldId, elementType: type };
    if (typeof index === 'string' || more.length > 0)
      throw this.fail(node.at, `field '${name}' is an Array; its elements are reached as ${name}[0]`);
    return { kind: 'element', type, fieldId, index };
  }

  #dynamic(node: NameSyntax): JsonPath {
    const meta = this.#schema.fields.find(({ isDynamic }) => isDynamic);
    if (meta === undefined || !this.#schema.enableDynamicField) {
      const near = nearestName(
        node.name,
        this.#schema.fields.map(({ name }) => name),
      );
      const hint = near === undefined ? '' : `; did you mean '${near}'?`;
      throw this.fail(node.at, `field '${shorten(node.name)}' does not exist${hint}`);
    }
    this.#fields.add(meta.fieldId);
    const keys = node.name === DYNAMIC_FIELD_NAME ? node.keys : [node.name, ...node.keys];
    return { kind: 'json', type: 'json', fieldId: meta.fieldId, keys };
  }

  #vector(node: NameSyntax): Error {
    return this.fail(node.at, `field '${node.name}' is a vector; filters test scalar fields`);
  }
}
