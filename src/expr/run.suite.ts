/** Runs a filter to its end, as a query node does. */
import type { CompiledFilter, FilterSource } from './evaluate.ts';

/** The bits of the rows before `to`. */
export async function filterOut(
  filter: CompiledFilter,
  source: FilterSource,
  to = source.rowCount,
): Promise<Uint32Array> {
  const out = new Uint32Array(Math.ceil(source.rowCount / 32));
  for (;;) {
    filter.evaluate(source, 0, to, out);
    const open = filter.settle(source, 0, to, out);
    if (open === undefined) return out;
    await open;
  }
}
