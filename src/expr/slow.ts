/** What takes longer than an event loop may be held: comparisons of geometries, and regular expressions over long texts. */
import { type GeometryTester, geometryTasks, testGeometries, workerTester } from '../geometry/relate.ts';
import type { Workers, WorkerTasks } from '../support/workers.ts';
import { NO, YES } from './answer.ts';
import type { Batch } from './open-answers.ts';
import { regexTest } from './regex.ts';

interface TextBatch extends Batch {
  readonly pattern: string;
}

export interface SlowTests {
  readonly geometries: GeometryTester;
  /** Which texts an expression matches. */
  texts(batch: TextBatch, signal?: AbortSignal): Promise<Uint8Array>;
}

const TEXTS = 'match-texts';

function matchTexts({ pattern, data, offsets }: TextBatch): Uint8Array<ArrayBuffer> {
  const test = regexTest(pattern);
  const answers = new Uint8Array(offsets.length - 1);
  for (let i = 0; i < answers.length; i++)
    answers[i] = test(data, offsets[i] as number, offsets[i + 1] as number) ? YES : NO;
  return answers;
}

/** What a worker thread can do for this room. */
export const filterTasks = (): WorkerTasks => ({
  ...geometryTasks(),
  async [TEXTS](batch: TextBatch) {
    const answers = matchTexts(batch);
    return { output: answers, transfer: [answers.buffer] };
  },
});

/** Answered by workers; without them by the calling thread. */
export const slowTests = (workers: Workers | undefined): SlowTests =>
  workers === undefined
    ? { geometries: testGeometries, texts: async (batch) => matchTexts(batch) }
    : {
        geometries: workerTester(workers),
        texts: (batch, signal) => workers.run<TextBatch, Uint8Array>(TEXTS, batch, [], signal),
      };
