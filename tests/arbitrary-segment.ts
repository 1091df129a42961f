/** Generators of schemas and of the writes that fill a segment of them. */
import fc, { type Arbitrary } from 'fast-check';
import type { HybridTime } from '../src/model/hybrid-time.ts';
import type { FieldId } from '../src/model/ids.ts';
import type { Column } from '../src/model/rows.ts';
import type { FieldSchema } from '../src/model/schema.ts';
import type { WrittenRows } from '../src/segment/rows-file.ts';
import { columnOf, columnType } from './arbitrary-rows.ts';

export function fieldOf(fieldId: number, column: Column, nullable: boolean): FieldSchema {
  const items = column.layout === 'list' ? column.items : column;
  return {
    fieldId: fieldId as FieldId,
    name: `field ${fieldId}`,
    description: '',
    dataType: column.type,
    ...(column.layout === 'list' ? { elementType: items.type as 'Int64' } : {}),
    ...(items.layout === 'vector' ? { dim: items.dim } : {}),
    isPrimaryKey: false,
    autoId: false,
    nullable,
    isDynamic: false,
    typeParams: {},
  };
}

/** Fields, and writes of their rows: at least one row in all. */
export const segment: Arbitrary<{ fields: FieldSchema[]; writes: WrittenRows[] }> = fc
  .tuple(
    fc.array(fc.tuple(columnType, fc.boolean()), { maxLength: 5 }),
    fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 4 }),
  )
  .map(([types, counts]) => [types, counts.every((count) => count === 0) ? [1] : counts] as const)
  .chain(([types, counts]) =>
    fc
      .tuple(
        ...counts.map((count) =>
          fc.tuple(...types.map(([type, nullable]) => columnOf(type, count, nullable))),
        ),
      )
      .map((batches) => ({
        fields: types.map(([, nullable], i) => fieldOf(100 + i, batches[0]![i] as Column, nullable)),
        writes: batches.map((columns, n) => ({
          ts: BigInt(1000 + n) as HybridTime,
          rows: {
            rowCount: counts[n]!,
            columns: new Map((columns as Column[]).map((column, i) => [(100 + i) as FieldId, column])),
          },
        })),
      })),
  );
