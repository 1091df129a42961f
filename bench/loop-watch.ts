/**
 * Loaded into the server's process before it starts: how long its event loop was blocked, to the millisecond, asked for over the
 * process channel. The gauge of /metrics looks every 10 ms and counts these in: too coarse to judge a limit of 10 ms.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Since the last question. */
export interface LoopReport {
  readonly longestBlockMs: number;
  /** Without the time that the thread was ready but the system gave the core to others. */
  readonly longestOwnMs: number;
  /** Blocks of its own of more than 10 ms. */
  readonly longBlocks: number;
  readonly longestGcMs: number;
}

const LOOK_EVERY_MS = 1;
const LONG_MS = 10;

const none: LoopReport = { longestBlockMs: 0, longestOwnMs: 0, longBlocks: 0, longestGcMs: 0 };

/** How long this thread has waited for a core, ms; always 0 where the system does not tell. */
function coreWaits(): () => number {
  const bytes = Buffer.alloc(128);
  try {
    const file = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
    process.once('exit', () => closeSync(file));
    return () => Number(bytes.toString('latin1', 0, readSync(file, bytes, 0, 128, 0)).split(' ')[1]) / 1e6;
  } catch {
    return () => 0;
  }
}

function watch(): void {
  const waitedMs = coreWaits();
  let report = none;
  let last = performance.now();
  let lastWaited = waitedMs();
  const look = (): void => {
    const now = performance.now();
    const waited = waitedMs();
    const blockMs = Math.max(0, now - last - LOOK_EVERY_MS);
    const ownMs = Math.max(0, blockMs - (waited - lastWaited));
    last = now;
    lastWaited = waited;
    report = {
      ...report,
      longestBlockMs: Math.max(report.longestBlockMs, blockMs),
      longestOwnMs: Math.max(report.longestOwnMs, ownMs),
      longBlocks: report.longBlocks + (ownMs > LONG_MS ? 1 : 0),
    };
  };
  setInterval(look, LOOK_EVERY_MS).unref();
  new PerformanceObserver((list) => {
    const longest = Math.max(0, ...list.getEntries().map(({ duration }) => duration));
    report = { ...report, longestGcMs: Math.max(report.longestGcMs, longest) };
  }).observe({ entryTypes: ['gc'] });
  process.on('message', () => {
    look();
    process.send?.(report);
    report = none;
  });
  process.channel?.unref();
}

if (isMainThread && process.send !== undefined) watch();
