/**
 * `npm run fuzz -- [decoder …] [--minutes N] [--seed N]`. Ends with 1 when a decoder broke its promise, hung, or took the memory of its
 * thread, and shows the input in base64: it belongs into `found.ts`.
 */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setInterval } from 'node:timers';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { systemClock } from '../../src/support/system-clock.ts';
import { decoders } from './decoders.ts';
import type { FuzzReport, FuzzWork } from './worker.ts';

const HUNG_AFTER_MS = 30_000;
const HEAP_MB = 1024;
const MAX_INPUT_BYTES = 4 << 20;

const { values, positionals: only } = parseArgs({
  options: { minutes: { type: 'string', default: '1' }, seed: { type: 'string' } },
  allowPositionals: true,
});
const unknown = only.find((name) => !decoders.some((decoder) => decoder.name === name));
if (unknown !== undefined) {
  console.error(`fuzz: no decoder '${unknown}'. There are: ${decoders.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
const seed = Number(values.seed ?? systemClock.nowMs() % 1_000_000);
const current = new SharedArrayBuffer(4 + MAX_INPUT_BYTES);
const work: FuzzWork = {
  only,
  seed,
  endAtMs: systemClock.nowMs() + Number(values.minutes) * 60_000,
  current,
};
console.log(`fuzz: seed ${seed}, ${values.minutes} minutes, ${only.length || decoders.length} decoders`);

const cases = new Map<string, { cases: number; kept: number }>();
let heardAtMs = systemClock.nowMs();
let lastLength = -1;
let hasFailed = false;
const worker = new Worker(new URL('./worker.js', import.meta.url), {
  workerData: work,
  resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
});
worker.on('message', (message: FuzzReport) => {
  heardAtMs = systemClock.nowMs();
  if (message.kind === 'failed') {
    hasFailed = true;
    console.error(`FAILED ${message.message}`);
    return;
  }
  const sum = cases.get(message.decoder) ?? { cases: 0, kept: 0 };
  cases.set(message.decoder, { cases: sum.cases + message.cases, kept: sum.kept + message.kept });
});

function showCurrent(why: string): void {
  const length = Atomics.load(new Int32Array(current, 0, 1), 0);
  const input = Buffer.from(new Uint8Array(current, 4, Math.min(length, MAX_INPUT_BYTES)));
  const path = join(tmpdir(), `tidemark-fuzz-${seed}.bin`);
  writeFileSync(path, input);
  console.error(`FAILED ${why}; the input under way, ${length} bytes, is in ${path}; it begins:`);
  console.error(input.subarray(0, 300).toString('base64'));
}

const look = setInterval(() => {
  const length = Atomics.load(new Int32Array(current, 0, 1), 0);
  if (length !== lastLength) heardAtMs = systemClock.nowMs();
  lastLength = length;
  if (systemClock.nowMs() - heardAtMs < HUNG_AFTER_MS) return;
  showCurrent(`nothing has moved for ${HUNG_AFTER_MS / 1000} s`);
  process.exit(1);
}, 1000);
worker.once('error', (error) => {
  hasFailed = true;
  showCurrent(String(error));
});
worker.once('exit', () => {
  clearInterval(look);
  let all = 0;
  for (const [decoder, { cases: count, kept }] of cases) {
    all += count;
    console.log(
      `${decoder.padEnd(28)} ${String(count).padStart(9)} cases, ${kept} inputs kept for what they reached`,
    );
  }
  console.log(`${all} cases, ${hasFailed ? 'failures above' : 'no failure'}; seed ${seed}`);
  process.exitCode = hasFailed ? 1 : 0;
});
