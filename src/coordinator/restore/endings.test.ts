import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock, settle } from '../../../tests/heart/manual-clock.ts';
import type { ErrorName } from '../../errors/codes.ts';
import { DbError } from '../../errors/db-error.ts';
import type { JobId } from '../../model/ids.ts';
import { silentLog } from '../../support/log.ts';
import { seededRandom } from '../../support/random.ts';
import type { CopyJob, OpenCopyJob } from '../copy-segment/job.ts';
import { type EndingParts, RestoreEndings } from './endings.ts';

const JOB = 1n as JobId;
const purposes = { drill: { kind: 'drill' }, swap: { kind: 'in-place', stage: 'copying' } } as const;

/** Endings whose work a test carries out by hand: what is at stake here is when it is begun, tried again and given up. */
function endingsOf(purpose: keyof typeof purposes, maxCopyAttempts = 3) {
  const clock = new ManualClock();
  let state: CopyJob['state'] | 'gone' = 'executing';
  const job = () => ({ jobId: JOB, purpose: purposes[purpose], state }) as unknown as OpenCopyJob;
  let tell: (jobId: JobId, what: string) => void = () => undefined;
  const ended: string[] = [];
  const parts = {
    clock,
    random: seededRandom(1),
    log: silentLog,
    limits: { maxCopyAttempts },
    meta: {
      job: () => (state === 'gone' ? undefined : job()),
      onChange: (listener: typeof tell) => {
        tell = listener;
      },
    },
    end: (_: JobId, reason: string) => {
      ended.push(reason);
      return Promise.resolve(true);
    },
  };
  const endings = new RestoreEndings(parts as unknown as EndingParts);
  const tries: { fail: (error: Error) => void; done: () => void; signal: AbortSignal | undefined }[] = [];
  const work = (signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      tries.push({ fail: reject, done: resolve, signal });
    });
  endings.inPlace.swap = () => work();
  endings.drills.compare = (_, signal) => work(signal);
  const failing = async (error: Error) => {
    endings.begin(job());
    tries.at(-1)?.fail(error);
    await settle();
  };
  const set = (is: typeof state, what = 'job') => {
    state = is;
    tell(JOB, what);
  };
  return { endings, clock, tries, ended, set, failing, begin: () => endings.begin(job()) };
}

const passing = new DbError('storage-failed', 'not now');

test('an ending that is under way is not begun again; one that failed for now is, later and later', async () => {
  const { endings, clock, tries, ended, begin, failing } = endingsOf('swap');
  begin();
  begin();
  assert.equal(tries.length, 1);
  let waitedMs = 0;
  for (const [n, fullMs] of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000].entries()) {
    await failing(passing);
    assert.deepEqual([tries.length, endings.trouble(JOB)], [n + 1, 'not now']);
    await clock.advance(fullMs * 0.8 - 1);
    begin();
    assert.equal(tries.length, n + 1, `before ${fullMs} ms`);
    await clock.advance(fullMs * 0.2 + 1);
    begin();
    assert.equal(tries.length, n + 2, `after ${fullMs} ms`);
    waitedMs += fullMs;
  }
  assert.ok(waitedMs > 180_000);
  assert.deepEqual(ended, []);
});

test('what can never succeed ends the job with its reason, at the first try', async () => {
  for (const purpose of ['drill', 'swap'] as const)
    for (const code of ['object-not-found', 'data-integrity', 'index-not-found'] as readonly ErrorName[]) {
      const { ended, failing } = endingsOf(purpose);
      await failing(new DbError(code, `${code}!`));
      assert.deepEqual(ended, [`${code}!`]);
    }
});

test('a comparison that fails for now is given up after its attempts; a swap goes on, and so does what is a bug of ours', async () => {
  for (const [purpose, error, expected] of [
    ['drill', passing, ['not now']],
    ['swap', passing, []],
    ['drill', new TypeError('bug'), []],
  ] as const) {
    const { clock, ended, failing } = endingsOf(purpose, 3);
    for (let n = 1; n <= 3; n++) {
      assert.deepEqual(ended, []);
      await failing(error);
      await clock.advance(120_000);
    }
    assert.deepEqual(ended, expected);
  }
});

test('when its job is over an ending is called off and forgotten, and what it still says changes nothing', async () => {
  for (const state of ['completed', 'failed', 'gone'] as const) {
    const { endings, tries, ended, set, begin, failing } = endingsOf('drill');
    await failing(passing);
    assert.equal(endings.trouble(JOB), 'not now');
    set('executing');
    assert.equal(endings.trouble(JOB), 'not now', 'an open job is followed on');
    set(state, 'task');
    assert.equal(endings.trouble(JOB), 'not now', 'only a change of the job counts');
    set(state);
    assert.equal(endings.trouble(JOB), undefined);
    set('executing');
    begin();
    set(state);
    assert.equal(tries[1]?.signal?.aborted, true);
    tries[1]?.fail(new DbError('data-integrity', 'late'));
    await settle();
    assert.deepEqual([ended, endings.trouble(JOB)], [[], undefined]);
  }
});

test('a try that ended well may be followed by another at once', async () => {
  const { tries, begin } = endingsOf('drill');
  begin();
  tries[0]?.done();
  await settle();
  begin();
  assert.equal(tries.length, 2);
});

test('close stops what runs, waits for it, lets no failure of it count, and nothing begins after it', async () => {
  const { endings, tries, ended, begin } = endingsOf('drill');
  begin();
  let isClosed = false;
  const closing = endings.close().then(() => {
    isClosed = true;
  });
  await settle();
  assert.deepEqual([tries[0]?.signal?.aborted, isClosed], [true, false]);
  tries[0]?.fail(new DbError('data-integrity', 'stopped'));
  await closing;
  assert.deepEqual([ended, endings.trouble(JOB)], [[], undefined]);
  begin();
  assert.equal(tries.length, 1);
});
