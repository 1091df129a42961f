/** How long jobs and tasks of this process have stood in which stage. */
import { Histogram, type HistogramCounts } from '../../support/histogram.ts';

/** Of a job. pending: created to executing; executing: to its end; total: created to its end. */
export const jobStages = ['pending', 'executing', 'total'] as const;
/** Of an attempt. pending: queued to sent; executing: until its node said how it ended; settled: until that was stored. */
export const taskStages = ['pending', 'executing', 'settled'] as const;

const histograms = <Stage extends string>(stages: readonly Stage[]) =>
  Object.fromEntries(stages.map((stage) => [stage, new Histogram()])) as Record<Stage, Histogram>;

const statesOf = <Stage extends string>(of: Readonly<Record<Stage, Histogram>>) =>
  Object.fromEntries(Object.entries<Histogram>(of).map(([stage, { state }]) => [stage, state])) as Record<
    Stage,
    HistogramCounts
  >;

export class CopyLatencies {
  readonly job = histograms(jobStages);
  readonly task = histograms(taskStages);

  state() {
    return { job: statesOf(this.job), task: statesOf(this.task) };
  }
}
