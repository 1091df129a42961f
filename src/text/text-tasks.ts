/** What a worker thread does for matches of texts. */
import type { WorkerTasks } from '../support/workers.ts';
import { analyzerOf } from './analyzer.ts';
import { buffersOfBlock, buildTextBlock, type TextRows } from './text-block.ts';

/** Names of the tasks. */
export const BUILD_TEXT_BLOCK = 'build-text-block';
export const ANALYZE_MATCH = 'analyze-match';

export interface BuildTextBlockInput {
  readonly params: string;
  /** Of these rows alone. */
  readonly rows: TextRows;
  readonly rowCount: number;
}

export interface AnalyzeMatchInput {
  readonly params: string;
  readonly text: string;
}

export const textTasks = (): WorkerTasks => ({
  [BUILD_TEXT_BLOCK]: async ({ params, rows, rowCount }: BuildTextBlockInput) => {
    const output = buildTextBlock(params, rows, 0, rowCount);
    return { output, transfer: buffersOfBlock(output) };
  },
  [ANALYZE_MATCH]: async ({ params, text }: AnalyzeMatchInput) => ({
    output: analyzerOf(params).analyze(text),
    transfer: [],
  }),
});
