import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createSocketServer } from 'node:net';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { type AdminWorld, withAdmin } from '../../tests/admin/admin-world.ts';
import {
  content,
  FakeDoor,
  job,
  pin,
  preview,
  report,
  sameDiff,
  verdict,
} from '../../tests/admin/fake-door.ts';
import { loadConfig } from '../config/load.ts';
import { DbError } from '../errors/db-error.ts';
import { parseJson } from '../support/json.ts';
import { AdminClient, ServerError, serverUrl } from './admin-client.ts';
import { parseArguments } from './arguments.ts';
import { errorText } from './error-text.ts';
import { UsageError } from './exit-codes.ts';
import { helpOf, helpText } from './help.ts';
import { Terminal } from './terminal.ts';

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A stream that keeps what it is given. */
class Sink extends Writable {
  text = '';
  readonly isTTY: boolean;
  readonly columns = 200;

  constructor(isTTY: boolean) {
    super({ decodeStrings: false });
    this.isTTY = isTTY;
  }

  override _write(chunk: string, _encoding: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

async function run(
  url: string,
  line: string,
  { isTTY = false, signal = new AbortController().signal } = {},
): Promise<Outcome> {
  const { command, args, flags } = parseArguments(line.split(' '));
  assert.ok(command);
  const [out, err] = [new Sink(isTTY), new Sink(isTTY)];
  const terminal = new Terminal(out as never, err as never);
  const code = await command.run({
    args,
    flags,
    database: flags['database'] as string | undefined,
    isJson: flags['json'] === true,
    client: new AdminClient(new URL(url), signal),
    terminal,
  });
  terminal.clear();
  return { code, out: out.text, err: err.text };
}

/** `line` against a server over `door`. */
async function runOver(door: FakeDoor, line: string, options = {}): Promise<Outcome> {
  let outcome: Outcome | undefined;
  await withAdmin(async ({ url }: AdminWorld) => {
    outcome = await run(url, line, options);
  }, door);
  assert.ok(outcome);
  return outcome;
}

test('snapshot list shows one aligned line each, oldest first, over any number of pages', async () => {
  const door = new FakeDoor();
  door.reports = Array.from({ length: 2500 }, (_, i) =>
    report({ snapshotId: BigInt(i + 1) as never, name: `s${i}` }),
  );
  const { code, out } = await runOver(door, 'snapshot list films');
  const lines = out.trimEnd().split('\n');
  assert.equal(code, 0);
  assert.match(
    lines[0] ?? '',
    /^DATABASE {2}COLLECTION {2}SNAPSHOT {2}CREATED +ROWS {2}SEGMENTS +SIZE {2}PINS {2}STATE$/,
  );
  assert.match(lines[2500] ?? '', /^default {3}films {7}s2499 .* 100,000 {8}12 {2}40\.1 MB {5}0 {2}ok$/);
  assert.equal((await runOver(door, 'snapshot list none')).out, 'No snapshots.\n');
});

test('snapshot list shows a damaged snapshot with the reason', async () => {
  const door = new FakeDoor();
  door.reports = [report({ damage: 'the metadata is gone' })];
  const { code, out } = await runOver(door, 'snapshot list');
  assert.equal(code, 0);
  assert.match(out, /damaged: the metadata is gone\n$/);
});

test('snapshot describe shows rows, bytes, exclusive and shared bytes, schema, partitions, indexes and pins', async () => {
  const door = new FakeDoor();
  door.reports = [report({ pins: [pin()], description: 'red \u001b[31m' })];
  const { code, out } = await runOver(door, 'snapshot describe films monday');
  assert.equal(code, 0);
  for (const words of [
    'default/films/monday\n',
    'red \\u{1b}[31m',
    '100,000 in 12 segments',
    '40.1 MB (40,123,456 bytes) in 36 files',
    '1.2 MB (1,234,567 bytes): dropping it frees them',
    'VarChar(200)    nullable',
    'FloatVector(4)',
    '_default   100,000        12  40.0 MB',
    'index_type=HNSW, metric_type=COSINE',
    'restore job 501',
  ])
    assert.ok(out.includes(words), `${words} is not in\n${out}`);
});

test('snapshot describe ends with 3 and the reason when the snapshot is damaged', async () => {
  const door = new FakeDoor();
  door.reports = [report({ damage: 'manifest 0 is short' })];
  const { code, out } = await runOver(door, 'snapshot describe default/films/monday');
  assert.equal(code, 3);
  assert.match(out, /DAMAGED +manifest 0 is short/);
});

test('snapshot verify says that a snapshot is sound, and that a part of it is', async () => {
  const door = new FakeDoor();
  const sound = await runOver(door, 'snapshot verify films monday');
  assert.deepEqual(
    [sound.code, sound.out, sound.err],
    [0, 'default/films/monday is sound: all of its 3 objects read, 3.0 kB (3,000 bytes)\n', ''],
  );
  door.steps = [{ kind: 'end', objects: 1, bytes: 1000, totalObjects: 3, totalBytes: 3000, problems: 0 }];
  const part = await runOver(door, 'snapshot verify films/monday --subset 5');
  assert.match(part.out, /sound as far as it was read: 1 of its 3 objects read, 1\.0 kB of 3\.0 kB\n$/);
  assert.deepEqual(door.asked.at(-1), 'verify default/films/monday 0.05');
});

test('snapshot verify names each object that is wrong and ends with 3', async () => {
  const door = new FakeDoor();
  door.steps = [
    { kind: 'progress', objects: 1, bytes: 1000, totalObjects: 3, totalBytes: 4000 },
    {
      kind: 'problem',
      key: 'a/b',
      object: 'rows',
      segmentId: 7n as never,
      problem: 'corrupt',
      detail: 'checksum',
    },
    { kind: 'end', objects: 3, bytes: 3000, totalObjects: 3, totalBytes: 3000, problems: 1 },
  ];
  const { code, out, err } = await runOver(door, 'snapshot verify films monday');
  assert.deepEqual([code, err], [3, '']);
  assert.equal(
    out,
    'corrupt     a/b\n            rows of segment 7: checksum\ndefault/films/monday is DAMAGED: 1 object wrong; all of its 3 objects read, 3.0 kB (3,000 bytes)\n',
  );
  const json = await runOver(door, 'snapshot verify films monday --json');
  assert.equal(json.code, 3);
  const kinds = json.out
    .trimEnd()
    .split('\n')
    .map((line) => (parseJson(line) as { kind: string }).kind);
  assert.deepEqual(kinds, ['progress', 'problem', 'end']);
});

test('progress goes to a terminal only, in one line that is gone at the end', async () => {
  const door = new FakeDoor();
  door.steps = [
    { kind: 'progress', objects: 1, bytes: 1000, totalObjects: 3, totalBytes: 4000 },
    ...door.steps,
  ];
  const { out, err } = await runOver(door, 'snapshot verify films monday', { isTTY: true });
  assert.equal(
    err,
    '\rverifying default/films/monday  25 %  1 of 3 objects, 1.0 kB of 4.0 kB\u001b[K\r\u001b[K',
  );
  assert.match(out, /^default\/films\/monday is sound/);
});

test('a verification that breaks off is a failure, whatever it has said', async () => {
  const door = new FakeDoor();
  door.steps = [{ kind: 'progress', objects: 1, bytes: 1, totalObjects: 3, totalBytes: 4 }];
  await assert.rejects(runOver(door, 'snapshot verify films monday'), /ended before its time/);
  door.failure = new DbError('storage-failed', 'the disk is gone');
  await assert.rejects(runOver(door, 'snapshot verify films monday'), /^Error: the disk is gone/);
});

test('an interrupted verification ends in the server, too', async () => {
  const door = new FakeDoor();
  door.isEndless = true;
  const interrupt = new AbortController();
  await withAdmin(async ({ url }) => {
    const running = run(url, 'snapshot verify films monday', { signal: interrupt.signal });
    while (door.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    interrupt.abort(new Error('Ctrl-C'));
    await assert.rejects(running, /Ctrl-C/);
    assert.match(String(await door.aborted), /the client is gone/);
  }, door);
});

test('snapshot diff ends with 0 when nothing differs and with 4 when something does', async () => {
  const door = new FakeDoor();
  door.reports.push(report({ snapshotId: 470n as never, name: 'tuesday', segmentCount: 13 }));
  const [from, to] = door.reports;
  const same = await runOver(door, 'snapshot diff films monday tuesday');
  assert.equal(same.code, 0);
  assert.match(same.out, /^default\/films\/monday → default\/films\/tuesday: no difference in 12 segments/);
  const segment = {
    segmentId: 9n as never,
    partitionName: '_default',
    level: 'L1' as const,
    rowCount: 5,
    sizeBytes: 7,
  };
  door.diff = {
    ...sameDiff(from!, to!),
    segments: { added: [segment], removed: [], common: 12 },
    addedRows: 5,
    addedBytes: 7,
    definition: [
      { what: "index 'x'", is: 'HNSW' },
      { what: 'shards', was: '1', is: '2' },
      { what: "partition 'p'", was: '3' },
    ],
  };
  const { code, out } = await runOver(door, 'snapshot diff films/monday default/films/tuesday');
  assert.equal(code, 4);
  for (const line of [
    '+1 -0, 12 in common',
    "  + index 'x': HNSW",
    '  ~ shards: 1 → 2',
    "  - partition 'p': 3",
    '  +  9',
  ])
    assert.ok(out.includes(line), `${line} is not in\n${out}`);
});

test('snapshot pins shows owner and end of each', async () => {
  const door = new FakeDoor();
  door.pins.push(pin({ pinId: 5n as never, owner: '', expiresAtMs: 1, databaseName: 'other' }));
  const { out } = await runOver(door, 'snapshot pins');
  assert.match(
    out,
    /default\/films\/monday {2}8123456789012345678 {2}restore job 501 {2}\S+ {2}it is released\n/,
  );
  assert.match(out, /other\/films\/monday +5 +- +\S+ +19(70|69)-\S+\n/);
  assert.equal((await runOver(door, 'snapshot pins --database other')).out.trimEnd().split('\n').length, 2);
});

test('gc --dry-run prints a line with a reason for each object kept or deleted, sums by reason, and what would be deleted', async () => {
  const door = new FakeDoor();
  door.verdicts = [
    verdict(),
    verdict({ verdict: 'delete', reason: 'orphan', key: 'z', sizeBytes: 2000, detail: 'nobody knows it' }),
    verdict({ verdict: 'delete', reason: 'orphan', key: 'record:segment/7', sizeBytes: 0 }),
  ];
  const { code, out } = await runOver(door, 'gc --dry-run');
  assert.equal(code, 0);
  const lines = out.trimEnd().split('\n');
  assert.equal(
    lines[0],
    "keep    snapshot                   1.2 MB  segments/451/452/460/rows.parquet  snapshot 'monday'",
  );
  assert.equal(lines[1], 'delete  orphan                     2.0 kB  z  nobody knows it');
  assert.match(out, /\ndelete +orphan +1 +2\.0 kB \(2,000 bytes\)\ndelete +orphan \(records\) +1 +0 bytes\n/);
  assert.equal(lines.at(-1), '`tidemark gc` would delete 1 object, 2.0 kB (2,000 bytes), and keep 1.');
  door.verdicts = [];
  assert.equal(
    (await runOver(door, 'gc --dry-run')).out,
    '`tidemark gc` would delete nothing and keep 0 objects.\n',
  );
});

test('gc says what went and what stayed', async () => {
  const { out } = await runOver(new FakeDoor(), 'gc');
  assert.equal(out, 'Deleted 3 objects, 1.2 MB (1,234,567 bytes); kept 40, 40.0 MB (40,000,000 bytes).\n');
});

test('restore describe shows bytes, files, rate, remaining time, nodes and how bytes came', async () => {
  const door = new FakeDoor();
  door.jobs.push(job({ jobId: 502n as never, state: 'failed', reason: 'object x is missing' }));
  const { out, code } = await runOver(door, 'restore describe 501');
  assert.equal(code, 0);
  for (const line of [
    /^restore 501 into default\/films_again\n/,
    /took +1\.5 s: 500 ms waiting, 1\.0 s copying\n/,
    /rate +16\.0 MB\/s\n/,
    /remaining +1\.5 s\n/,
    /copied +16\.0 MB \(16,000,000 bytes\) of 40\.0 MB \(40,000,000 bytes\)\n/,
    /files +14 of 36\n/,
    /by +hard-link 12\.0 MB, stream 4\.0 MB\n/,
    /tasks +1 completed, 2 running, 3 queued\n/,
    /node 1 +2 tasks: 611, 612\n/,
  ])
    assert.match(out, line);
  assert.equal((await runOver(door, 'restore describe 502')).code, 1);
});

test('restore list shows state and progress; restore cancel ends one, once', async () => {
  const door = new FakeDoor();
  door.jobs.push(job({ jobId: 502n as never, state: 'completed', progress: 100 }));
  const { out } = await runOver(door, 'restore list --state executing');
  assert.match(
    out,
    /^JOB .*\n501 {2}executing {2}40 % {2}monday {4}default\/films_again {2}.* 1\.5 s {2}40\.0 MB {2}16\.0 MB\/s {2}1\.5 s\n$/,
  );
  const cancelled = await runOver(door, 'restore cancel 501 --reason oops');
  assert.equal(cancelled.out, 'Cancelled restore 501: default/films_again is removed.\n');
  await assert.rejects(runOver(door, 'restore cancel 501'), /has already failed/);
  assert.equal((await runOver(door, 'restore cancel 502 --json')).code, 1);
  await assert.rejects(runOver(door, 'restore cancel ../../gc'), /is no id/);
});

test('a name of dots is a name that cannot be, and no way to another path', async () => {
  const door = new FakeDoor();
  await assert.rejects(runOver(door, 'restore cancel ..'), /'\.\.' is no id/);
  await assert.rejects(runOver(door, 'snapshot describe .. ..'), /'\.\.' cannot be the name of a collection/);
  await assert.rejects(runOver(door, 'snapshot verify . x'), /'\.' cannot be the name of a collection/);
});

test('what steers a terminal is never printed raw, whoever has said it', async () => {
  const steering = 'a\u001b[2Jb\u009b31mc\rd\ne\u202ef';
  const door = new FakeDoor();
  const named = { name: steering, collectionName: steering, description: steering, damage: steering };
  door.reports = [report(named)];
  door.snapshotReport = () => Promise.resolve({ ...report(named), content });
  const { out } = await runOver(door, 'snapshot describe films monday');
  const listed = await runOver(door, 'snapshot list');
  const raw = /[^\P{Cc}\n]|\u202e|\ne/u;
  assert.doesNotMatch(out + listed.out, raw);
  door.failure = new DbError('internal', steering);
  const written: string[] = [];
  await assert.rejects(runOver(door, 'gc'), (error) => {
    written.push(errorText(error));
    return true;
  });
  assert.doesNotMatch(written.join(''), raw);
  const progress = new Sink(true);
  new Terminal(new Sink(true) as never, progress as never).progress(steering);
  assert.doesNotMatch(progress.text.slice('\r'.length, -'\u001b[K'.length), raw);
});

test('restore start prints the id of its job', async () => {
  const door = new FakeDoor();
  const line = 'restore start films monday films_again';
  assert.deepEqual(await runOver(door, line), { code: 0, out: '600\n', err: '' });
  await runOver(door, 'restore start other/films/monday films_again').catch(() => undefined);
  await runOver(
    door,
    `${line} --partition a --partition b --physical --target-database other --database default`,
  );
  assert.deepEqual(door.asked, [
    'restore default/films/monday to default/films_again all as configured',
    'restore default/films/monday to other/films_again a,b physical',
  ]);
  await assert.rejects(runOver(door, `${line} --dry-run --wait`), UsageError);
  await assert.rejects(runOver(door, 'restore start films films_again'), UsageError);
  await assert.rejects(runOver(door, 'restore start films nope films_again'), /snapshot not found/);
});

/** Each look at the job finds it in the next of these states. */
class MovingDoor extends FakeDoor {
  readonly #looks: Parameters<typeof job>[0][];

  constructor(...looks: Parameters<typeof job>[0][]) {
    super();
    this.#looks = looks;
  }

  override restoreState(jobId: bigint) {
    return { ...super.restoreState(jobId), ...this.#looks.shift() };
  }
}

test('restore start --wait shows progress on a terminal and ends with what became of the job', async () => {
  const line = 'restore start films monday films_again --wait';
  const done = { state: 'completed', progress: 100 } as const;
  const moving = { state: 'executing', progress: 40 } as const;
  const { code, out, err } = await runOver(new MovingDoor({}, moving, done), line, { isTTY: true });
  assert.deepEqual(
    [code, out],
    [0, 'Restored monday into default/films_again: 100,000 rows, 36 files, 40.0 MB in 1.5 s.\n'],
  );
  assert.match(
    err,
    /restoring default\/films_again {2}0 %[\s\S]*40 % {2}14 of 36 files, 16\.0 MB of 40\.0 MB/,
  );
  const failed = { state: 'failed', reason: "object 'x' is missing" } as const;
  await assert.rejects(runOver(new MovingDoor({}, failed), line), {
    message: "restore 600 into default/films_again failed: object 'x' is missing",
  });
  const json = await runOver(new MovingDoor({}, failed), `${line} --json`);
  assert.deepEqual([json.code, parseJson(json.out)], [1, { ...(parseJson(json.out) as object), ...failed }]);
});

const swapped = {
  kind: 'in-place',
  stage: 'swapped',
  name: 'films',
  keptName: 'films_before_501',
  keptSnapshots: 3,
} as const;

test('restore in-place tells where the old collection is and what to do with it; confirm and revert do it', async () => {
  const line = 'restore in-place films monday';
  const door = new FakeDoor();
  assert.deepEqual(await runOver(door, `${line} --physical`), { code: 0, out: '501\n', err: '' });
  assert.deepEqual(door.asked, ['in-place default/films/monday physical']);
  const waiting = { purpose: { ...swapped, stage: 'swapping', trouble: 'no memory' } } as const;
  const done = { state: 'completed', collectionName: 'films', purpose: swapped } as const;
  const waited = await runOver(new MovingDoor(waiting, done), `${line} --wait`, { isTTY: true });
  assert.equal(
    waited.out,
    `default/films has the 100,000 rows of monday now, in 1.5 s. The old collection is kept as films_before_501, with 3 snapshots.
Drop it with \`tidemark restore confirm 501\`, go back to it with \`tidemark restore revert 501\`.
`,
  );
  assert.match(waited.err, /in place {2}about to swap names: no memory/);
  const failed = { state: 'failed', reason: 'renamed', purpose: { ...swapped, stage: 'copying' } } as const;
  await assert.rejects(runOver(new MovingDoor(failed), `${line} --wait`), {
    message: 'restore 501 in place failed: renamed',
  });
  const confirmed = await runOver(new MovingDoor({}, done), 'restore confirm 501');
  assert.equal(confirmed.out, 'Confirmed restore 501: films_before_501 is dropped.\n');
  const reverted = await runOver(new MovingDoor({}, done), 'restore revert 501');
  assert.equal(reverted.out, 'Reverted restore 501: films is the old collection again.\n');
  await assert.rejects(runOver(door, 'restore revert 77'), /restore job not found/);
});

test('restore drill waits, ends with 3 when something differs, and names it; with 1 when it could not be tried', async () => {
  const line = 'restore drill films monday';
  const outcome = { isSame: true, segments: 12, rows: 100_000, deletes: 17, differences: [] };
  const drill = { kind: 'drill', stage: 'compared', outcome } as const;
  const comparing = { purpose: { kind: 'drill', stage: 'comparing' } } as const;
  const sound = new MovingDoor(comparing, { state: 'completed', purpose: drill });
  const done = await runOver(sound, line, { isTTY: true });
  assert.deepEqual(
    [done.code, done.out],
    [
      0,
      'default/films/monday can be restored: the copy is the same. 100,000 rows and 17 deletes in 12 segments, 40.0 MB in 1.5 s; the copy is dropped.\n',
    ],
  );
  assert.match(done.err, /drill of default\/films\/monday: comparing/);
  const other = {
    ...drill,
    outcome: { ...outcome, isSame: false, differences: ['segment 4: rows are others'] },
  };
  const failed = { state: 'failed', reason: 'it differs', purpose: other } as const;
  const found = await runOver(new MovingDoor(failed), line);
  assert.equal(found.code, 3);
  assert.match(
    found.out,
    /^default\/films\/monday was NOT restored as it is:\n {2}segment 4: rows are others\n100,000/,
  );
  assert.equal((await runOver(new MovingDoor(failed), `${line} --json`)).code, 3);
  const broken = {
    state: 'failed',
    reason: 'no room',
    purpose: { kind: 'drill', stage: 'copying' },
  } as const;
  await assert.rejects(runOver(new MovingDoor(broken), line), { message: 'drill 501 failed: no room' });
  assert.equal((await runOver(new FakeDoor(), `${line} --no-wait`)).out, '501\n');
});

test('restore start --dry-run tells what would be copied, how, and how long that takes', async () => {
  const door = new FakeDoor();
  const line = 'restore start films monday films_again --dry-run';
  const { code, out } = await runOver(door, line);
  assert.equal(code, 0);
  assert.equal(
    out,
    `default/films/monday → default/films_again
  rows         100,000 in 12 segments, 2 tasks
  size         40.0 MB (40,000,000 bytes) in 36 files
  mode         shared: hard links: no bytes are copied
  free         5.0 GB (5,000,000,000 bytes)
  takes about  1.5 s

Every object is there. Nothing was changed.
`,
  );
  const problems = [{ key: 'segments/1', detail: 'is missing' }];
  door.preview = preview({ problems, problemCount: 7, method: 'stream', mode: 'physical' });
  const damaged = await runOver(door, line);
  assert.equal(damaged.code, 3);
  assert.match(damaged.out, /It would FAIL: 7 objects wrong\n {2}segments\/1 is missing\n {2}and 6 more\n$/);
  assert.ok(door.asked.every((asked) => asked.startsWith('preview ')));
});

test('--json prints exactly what the server answers', async () => {
  const door = new FakeDoor();
  await withAdmin(async ({ url, ask }) => {
    const table = [
      ['snapshot list', '/snapshots'],
      ['snapshot describe films monday', '/snapshots/default/films/monday'],
      ['snapshot pins', '/pins'],
      ['restore list', '/restore-jobs'],
      ['restore describe 501', '/restore-jobs/501'],
      ['gc --dry-run', '/gc/plan'],
    ] as const;
    for (const [line, path] of table)
      assert.equal((await run(url, `${line} --json`)).out, (await ask(path)).body, line);
  }, door);
  assert.ok(content.fileCount > 0);
});

test('what is no Tidemark server, and what does not answer, is said in a sentence', async () => {
  const other = createServer((_, response) => response.writeHead(404).end('<html>'));
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  await assert.rejects(run(url, 'snapshot list'), {
    message: `${url} answers 404: is that a Tidemark server?`,
  });
  await new Promise((resolve) => other.close(resolve));
  await assert.rejects(run(url, 'snapshot list'), (error) => {
    assert.ok(error instanceof ServerError);
    assert.equal(
      error.message,
      `no server answers at ${url}: start one with \`tidemark serve\`, or name it with --server`,
    );
    return true;
  });
});

test('a port that does not speak HTTP, as that for gRPC, is said in a sentence', async () => {
  const other = createSocketServer((socket) => void socket.resume().end('\0\0\u0006'));
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  await assert.rejects(run(url, 'snapshot list'), {
    message: `${url} does not speak HTTP: is it the gRPC port? Commands ask the HTTP port`,
  });
  await new Promise((resolve) => other.close(resolve));
});

test('an answer that breaks off is no answer', async () => {
  const other = createServer((_, response) => {
    response.writeHead(200);
    response.write('{"verdict":"keep"}\n{"ver', () => response.destroy());
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const client = new AdminClient(new URL(`http://127.0.0.1:${port}`), new AbortController().signal);
  const lines: unknown[] = [];
  await assert.rejects(async () => {
    for await (const line of client.lines('GET', '/gc/plan')) lines.push(line);
  }, /broke off/);
  assert.equal(lines.length, 1);
  await new Promise((resolve) => other.close(resolve));
});

test('the server is where the configuration says, unless --server names another', () => {
  const config = (environment: Record<string, string>) => loadConfig({ environment, flags: {} });
  assert.equal(serverUrl(undefined, config({})).origin, 'http://127.0.0.1:9091');
  const everywhere = config({ TIDEMARK_PROXY_IP: '0.0.0.0', TIDEMARK_METRICS_PORT: '80' });
  assert.equal(serverUrl(undefined, everywhere).origin, 'http://127.0.0.1');
  assert.equal(serverUrl(undefined, config({ TIDEMARK_PROXY_IP: '::1' })).origin, 'http://[::1]:9091');
  assert.throws(() => serverUrl(undefined, config({ TIDEMARK_METRICS_PORT: '0' })), UsageError);
  assert.equal(serverUrl('localhost:9', config({})).origin, 'http://localhost:9');
  for (const bad of ['https://x', 'http://x/path', 'http://u@x', 'http://', 'x y'])
    assert.throws(() => serverUrl(bad, config({})), UsageError, bad);
});

test('what is typed wrong is refused by name', () => {
  const table = [
    ['snapshot', /'snapshot' needs one of list, describe/],
    ['snapshot drop x', /unknown command 'snapshot drop'/],
    ['snapshot list a b', /unexpected argument 'b'/],
    ['snapshot describe', /too few arguments: tidemark snapshot describe COLLECTION NAME/],
    ['gc --subset 5%', /'tidemark gc' has no flag '--subset'/],
    ['snapshot list --data x', /has no flag '--data'/],
    ['serve --json', /'tidemark serve' has no flag '--json'/],
  ] as const;
  for (const [line, words] of table) assert.throws(() => parseArguments(line.split(' ')), words, line);
});

test('names and percentages that cannot be are refused before anything is asked', async () => {
  for (const line of [
    'snapshot describe films',
    'snapshot describe a/b/c/d',
    'snapshot verify films monday --subset 0',
    'gc --database x',
  ])
    await assert.rejects(run('http://127.0.0.1:1', line), UsageError, line);
});

test('every command stands in the help and has a help of its own', () => {
  const { group } = parseArguments(['restore', '--help']);
  assert.match(
    helpText(group),
    /^Usage: tidemark restore COMMAND\n\n {2}restore start COLLECTION SNAPSHOT TARGET/,
  );
  const { command } = parseArguments(['gc', '--help']);
  assert.ok(command);
  assert.match(helpOf(command), /^Usage: tidemark gc \[options\]\n[\s\S]*--dry-run[\s\S]*--server URL/);
  assert.match(helpText(), /snapshot verify COLLECTION NAME[\s\S]*Exit codes/);
});
