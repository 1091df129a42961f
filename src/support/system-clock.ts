import type { Clock } from './clock.ts';

const clockOf = (keepsAlive: boolean): Clock => ({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep(ms, signal) {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, ms);
      if (!keepsAlive) timer.unref();
      signal.addEventListener('abort', onAbort, { once: true });
    });
  },
});

export const systemClock: Clock = clockOf(true);

/** The system clock, but a sleep does not keep the process alive. */
export const backgroundClock: Clock = clockOf(false);

/** Milliseconds since this process was started. */
export const systemUptimeMs = (): number => process.uptime() * 1000;
