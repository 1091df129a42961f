/// <reference lib="esnext.disposable" preserve="true" />
/** The package `tidemark`: a vector database in the process of its caller. */
export type {
  Collection,
  Columns,
  ColumnValues,
  Hits,
  Query,
  SearchOptions,
  WriteOptions,
  Written,
} from './embedded/columns.ts';
export type { LogFunction, LogLevel, OpenOptions, TidemarkConfig } from './embedded/options.ts';
export { Tidemark } from './embedded/tidemark.ts';
export type { ErrorName as TidemarkErrorCode } from './errors/codes.ts';
export { DbError as TidemarkError } from './errors/db-error.ts';
