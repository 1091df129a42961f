import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { withAdmin } from '../../tests/admin/admin-world.ts';
import { job, pin, report, verdict } from '../../tests/admin/fake-door.ts';
import { DbError } from '../errors/db-error.ts';
import { parseJson } from '../support/json.ts';
import { systemClock } from '../support/system-clock.ts';

const SNAPSHOT = '/snapshots/default/films/monday';

test('/ lists every path, /healthz answers 503 with the reasons when something is wrong', () =>
  withAdmin(async ({ door, ask }) => {
    const index = await ask('/');
    assert.equal(index.status, 200);
    for (const path of ['/healthz', '/metrics', '/snapshots', '/gc/plan', '/restore-jobs/{id}/cancel'])
      assert.ok(index.body.includes(path), path);
    assert.deepEqual((await ask('/healthz')).json, { isHealthy: true, reasons: [] });
    door.isHealthy = false;
    const { status, json } = await ask('/healthz');
    assert.deepEqual([status, json.reasons], [503, ['the log is full']]);
  }));

test('/metrics counts snapshots, pins, and snapshots whose references are not loaded', () =>
  withAdmin(async ({ door, ask }) => {
    door.reports = [report(), report({ damage: 'gone' })];
    const { body } = await ask('/metrics');
    assert.match(body, /^tidemark_snapshots 2$/m);
    assert.match(body, /^tidemark_snapshot_references_not_loaded 1$/m);
    assert.match(body, /^tidemark_snapshots_damaged 1$/m);
    assert.match(body, /^tidemark_snapshot_pins 1$/m);
    assert.match(body, /^tidemark_copy_segment_jobs\{state="executing"\} 1$/m);
  }));

test('/metrics has jobs and tasks by state, latency by stage, queues by class and slots by node', () =>
  withAdmin(async ({ ask }) => {
    const { body } = await ask('/metrics');
    for (const line of [
      'tidemark_copy_segment_jobs{state="failed"} 0',
      'tidemark_copy_segment_tasks{state="in-progress"} 2',
      '# TYPE tidemark_copy_segment_task_latency_seconds histogram',
      'tidemark_copy_segment_job_latency_seconds_bucket{le="0.01",stage="total"} 2',
      'tidemark_copy_segment_job_latency_seconds_bucket{le="1",stage="total"} 3',
      'tidemark_copy_segment_job_latency_seconds_bucket{le="+Inf",stage="total"} 4',
      'tidemark_copy_segment_task_latency_seconds_sum{stage="settled"} 5.015',
      'tidemark_copy_segment_task_latency_seconds_count{stage="pending"} 4',
      'tidemark_scheduler_waiting_tasks{class="restore"} 3',
      'tidemark_scheduler_node_slots{node="1"} 4',
      'tidemark_scheduler_node_slots_used{node="1"} 3',
      'tidemark_scheduler_node_slots_used_by_restores{node="1"} 2',
    ])
      assert.ok(body.split('\n').includes(line), line);
  }));

test('/metrics counts what compaction and the last collection of garbage did, and what health names', () =>
  withAdmin(async ({ door, ask }) => {
    door.isHealthy = false;
    const { body } = await ask('/metrics');
    const gaugeOf = (name: string) => Number(new RegExp(`^tidemark_${name} (.*)$`, 'm').exec(body)?.[1]);
    assert.deepEqual(
      ['plans_running', 'plans_completed', 'plans_failed', 'rows_removed'].map((n) =>
        gaugeOf(`compaction_${n}`),
      ),
      [1, 2, 3, 4],
    );
    assert.deepEqual(
      ['timestamp_seconds', 'deleted_objects', 'deleted_bytes', 'kept_objects', 'kept_bytes'].map((n) =>
        gaugeOf(`garbage_last_pass_${n}`),
      ),
      [5, 6, 7, 8, 9],
    );
    assert.deepEqual([gaugeOf('troubles'), gaugeOf('healthy')], [1, 0]);
  }));

test('snapshots come in order of their ids, page by page, each once', () =>
  withAdmin(async ({ door, ask }) => {
    const ids = [9n, 10n, 1n, 100n, 2n ** 62n];
    door.reports = ids.map((id) => report({ snapshotId: id as never, name: `s${id}` }));
    const seen: string[] = [];
    for (let after = '0'; ; ) {
      const { json } = await ask(`/snapshots?limit=2&after=${after}`);
      seen.push(...json.snapshots.map((each: { snapshotId: string }) => each.snapshotId));
      if (json.next === undefined) break;
      after = json.next;
    }
    assert.deepEqual(seen, ['1', '9', '10', '100', String(2n ** 62n)]);
  }));

test('lists are narrowed by database, collection and state', () =>
  withAdmin(async ({ door, ask }) => {
    door.reports = [report(), report({ snapshotId: 463n as never, databaseName: 'other' })];
    assert.equal((await ask('/snapshots')).json.snapshots.length, 2);
    assert.equal((await ask('/snapshots?database=other&collection=films')).json.snapshots.length, 1);
    assert.equal((await ask('/snapshots?collection=none')).json.snapshots.length, 0);
    door.jobs = [job(), job({ jobId: 502n as never, state: 'completed' })];
    const { json } = await ask('/restore-jobs?state=completed&collection=films_again');
    assert.deepEqual([json.jobs.length, json.jobs[0].jobId], [1, '502']);
    assert.equal((await ask('/restore-jobs/501')).json.progress, 40);
    door.pins = [pin(), pin({ pinId: 3n as never })];
    assert.deepEqual(
      (await ask('/pins')).json.pins.map(({ pinId }: { pinId: string }) => pinId),
      ['3', '8123456789012345678'],
    );
  }));

test('one snapshot is answered with content, its 64-bit integers as text', () =>
  withAdmin(async ({ ask }) => {
    const { status, json } = await ask(SNAPSHOT);
    assert.equal(status, 200);
    assert.equal(json.snapshotId, '462');
    assert.equal(json.createTs, String(report().createTs));
    assert.equal(json.content.schema.fields[0].defaultValue, String(2n ** 62n));
  }));

test('errors carry code, name and message, and a fitting status', () =>
  withAdmin(async ({ door, ask }) => {
    assert.deepEqual((await ask('/snapshots/default/films/nope')).json, {
      code: 2600,
      error: 'snapshot-not-found',
      message: "snapshot not found: 'nope' in collection 'films'",
    });
    const table = [
      ['GET', '/snapshots/default/films/nope', 404, 'snapshot-not-found'],
      ['POST', '/snapshots/default/films/nope/verify', 404, 'snapshot-not-found'],
      ['GET', '/restore-jobs/7', 404, 'job-not-found'],
      ['GET', '/restore-jobs/x', 400, 'parameter-invalid'],
      ['GET', `/restore-jobs/${2n ** 63n}`, 400, 'parameter-invalid'],
      ['GET', '/nowhere', 404, 'parameter-invalid'],
      ['GET', '/snapshots/', 404, 'parameter-invalid'],
      ['GET', '/snapshots?limit=0', 400, 'parameter-invalid'],
      ['GET', '/snapshots?limit=1001', 400, 'parameter-invalid'],
      ['GET', '/snapshots?after=-1', 400, 'parameter-invalid'],
      ['GET', '/snapshots?limit=1&limit=2', 400, 'parameter-invalid'],
      ['GET', '/restore-jobs?state=done', 400, 'parameter-invalid'],
      ['GET', '/gc/plan?verdict=maybe', 400, 'parameter-invalid'],
      ['POST', `${SNAPSHOT}/verify?subset=0%`, 400, 'parameter-invalid'],
      ['POST', `${SNAPSHOT}/verify?subset=101%`, 400, 'parameter-invalid'],
      ['POST', `${SNAPSHOT}/verify?subset=0.05`, 400, 'parameter-invalid'],
      ['GET', '/snapshot-diff?from=a/b', 400, 'parameter-invalid'],
      ['GET', `/snapshots?collection=${'x'.repeat(5000)}`, 414, 'parameter-invalid'],
    ] as const;
    for (const [method, path, status, error] of table) {
      const reply = await ask(path, { method });
      assert.deepEqual([reply.status, reply.json?.error], [status, error], path.slice(0, 60));
    }
    door.failure = new DbError('store-mismatch', 'these do not belong together');
    assert.equal((await ask('/gc', { method: 'POST' })).status, 409);
  }));

test('an unknown parameter is refused with the known ones', () =>
  withAdmin(async ({ ask }) => {
    const { status, json } = await ask('/snapshots?colection=films');
    assert.equal(status, 400);
    assert.match(json.message, /'colection'.*database, collection, limit, after/);
  }));

test('a name is decoded, and never more than a name', () =>
  withAdmin(async ({ ask }) => {
    assert.equal((await ask('/snapshots/default/f%69lms/monday')).status, 200);
    for (const name of ['..%2F..%2Fetc', '%00', 'a%20b', '%E0%A4%A', '.', 'x'.repeat(256)])
      assert.equal((await ask(`/snapshots/default/films/${name}`)).status, 400, name);
  }));

test('HEAD is answered like GET without a body, and starts no work', () =>
  withAdmin(async ({ door, ask }) => {
    const { status, body, headers } = await ask('/snapshots', { method: 'HEAD' });
    assert.deepEqual([status, body, headers['content-type']], [200, '', 'application/json']);
    door.failure = new Error('was asked');
    assert.equal((await ask('/gc/plan', { method: 'HEAD' })).status, 200);
  }));

test('other methods are refused with those that are served', () =>
  withAdmin(async ({ ask }) => {
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE']) {
      const { status, headers } = await ask('/snapshots', { method });
      assert.deepEqual([status, headers.allow], [405, 'GET, HEAD'], method);
    }
    const { status, headers } = await ask('/gc');
    assert.deepEqual([status, headers.allow], [405, 'POST']);
  }));

test('a Host that is neither local nor the address listened on is refused', () =>
  withAdmin(async ({ ask }) => {
    const status = async (host: string) => (await ask('/healthz', { headers: { host } })).status;
    for (const host of ['localhost', 'localhost:9091', 'LOCALHOST', '127.0.0.1:1', '127.8.8.8', '[::1]:9091'])
      assert.equal(await status(host), 200, host);
    const others = ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1', '[::2]'];
    for (const host of others) assert.equal(await status(host), 403, host);
  }));

test('another site may not change anything nor start work', () =>
  withAdmin(async ({ door, url, ask }) => {
    const cancel = (headers: Record<string, string>) =>
      ask('/restore-jobs/501/cancel', { method: 'POST', headers });
    for (const headers of [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: url.replace('127.0.0.1', 'localhost') },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ])
      assert.equal((await cancel(headers)).status, 403, JSON.stringify(headers));
    assert.equal((await ask('/gc/plan', { headers: { 'sec-fetch-site': 'cross-site' } })).status, 403);
    assert.deepEqual(door.asked, []);
    assert.equal((await cancel({ origin: url, 'sec-fetch-site': 'same-origin' })).status, 200);
  }));

test('a body is refused unread, and the connection ends', () =>
  withAdmin(async ({ ask }) => {
    const { status, headers } = await ask('/gc', { method: 'POST' }, 'x');
    assert.deepEqual([status, headers.connection], [413, 'close']);
    assert.equal((await ask('/gc', { method: 'POST' }, '')).status, 200);
  }));

test('a request target that is no path is refused', () =>
  withAdmin(async ({ admin }) => {
    const socket = connect(admin.port, '127.0.0.1');
    socket.write('GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    assert.match(chunk.toString(), /^HTTP\/1\.1 400 /);
    socket.destroy();
  }));

test('verify streams one step a line and passes the part of the objects on', () =>
  withAdmin(async ({ door, ask }) => {
    const { status, headers, body } = await ask(`${SNAPSHOT}/verify?subset=5%`, { method: 'POST' });
    assert.deepEqual([status, headers['content-type']], [200, 'application/x-ndjson']);
    assert.equal((parseJson(body) as { kind: string }).kind, 'end');
    await ask(`${SNAPSHOT}/verify?subset=12.5%25`, { method: 'POST' });
    await ask(`${SNAPSHOT}/verify`, { method: 'POST' });
    assert.deepEqual(
      door.asked.map((each) => each.split(' ')[2]),
      ['0.05', '0.125', '1'],
    );
  }));

test('a stream that fails on the way ends with a line that says so', () =>
  withAdmin(async ({ door, ask }) => {
    door.failure = new DbError('storage-failed', 'the disk is gone');
    const { status, body } = await ask('/gc/plan');
    const lines = body.trimEnd().split('\n');
    assert.equal(status, 200);
    assert.deepEqual(parseJson(lines.at(-1) ?? ''), {
      code: 1001,
      error: 'storage-failed',
      message: 'the disk is gone',
    });
    door.verdicts = [];
    assert.equal((await ask('/gc/plan')).status, 500, 'before the first line the status says it');
  }));

test('the plan of a collection can be narrowed to a verdict, and may be empty', () =>
  withAdmin(async ({ door, ask }) => {
    door.verdicts = [verdict(), verdict({ verdict: 'delete', reason: 'orphan', key: 'z' })];
    const { body } = await ask('/gc/plan?verdict=delete');
    assert.equal((parseJson(body) as { key: string }).key, 'z');
    door.verdicts = [];
    const empty = await ask('/gc/plan');
    assert.deepEqual([empty.status, empty.body], [200, '']);
  }));

test('a client that goes away ends the work for it', () =>
  withAdmin(async ({ door, url }) => {
    door.isEndless = true;
    const sent = request(`${url}${SNAPSHOT}/verify`, { method: 'POST', agent: false });
    sent.on('error', () => undefined);
    sent.end();
    const [response] = await once(sent, 'response');
    response.on('error', () => undefined);
    sent.destroy();
    assert.match(String(await door.aborted), /the client is gone/);
  }));

test('a stop ends streams with a line that says so', () =>
  withAdmin(async ({ door, admin, ask }) => {
    door.isEndless = true;
    const reply = ask(`${SNAPSHOT}/verify`, { method: 'POST' });
    while (door.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await admin.close();
    assert.match((await reply).body, /"error":"service-unavailable","message":"the server is stopping"/);
  }));

test('a client that does not read slows the stream down instead of filling the memory', () =>
  withAdmin(async ({ door, url }) => {
    let made = 0;
    const total = 100_000;
    door.planGarbage = async function* () {
      for (; made < total; made++) yield verdict({ detail: 'x'.repeat(200) });
    };
    const sent = request(`${url}/gc/plan`, { agent: false });
    sent.end();
    const [response] = await once(sent, 'response');
    response.pause();
    for (let before = -1; before !== made; ) {
      before = made;
      await systemClock.sleep(50, new AbortController().signal);
    }
    assert.ok(made < total / 2, `${made} lines were made for nobody`);
    let lines = 0;
    response.on('data', (chunk: Buffer) => {
      lines += chunk.toString('latin1').split('\n').length - 1;
    });
    response.resume();
    await once(response, 'end');
    assert.equal(lines, total);
  }));

test('only so much work at once; the rest is asked to come back', () =>
  withAdmin(async ({ door, url, ask }) => {
    door.isEndless = true;
    const clients = Array.from({ length: 8 }, () => {
      const sent = request(`${url}${SNAPSHOT}/verify`, { method: 'POST', agent: false });
      sent.on('error', () => undefined);
      sent.end();
      return sent;
    });
    await Promise.all(clients.map((sent) => once(sent, 'response')));
    const { status, json } = await ask('/gc/plan');
    assert.deepEqual([status, json.error], [429, 'resource-exhausted']);
    assert.equal((await ask('/healthz')).status, 200);
    for (const sent of clients) sent.destroy();
  }));

test('a restore is cancelled once; a second time says that it had ended', () =>
  withAdmin(async ({ door, ask }) => {
    const first = await ask('/restore-jobs/501/cancel?reason=wrong%20target', { method: 'POST' });
    assert.deepEqual([first.json.cancelled, first.json.job.reason], [true, 'wrong target']);
    const second = await ask('/restore-jobs/501/cancel', { method: 'POST' });
    assert.deepEqual([second.json.cancelled, second.json.job.state], [false, 'failed']);
    const bad = await ask('/restore-jobs/501/cancel?reason=a%0Ab', { method: 'POST' });
    assert.equal(bad.status, 400);
    assert.equal(door.asked.length, 2);
  }));

test('restores in place and drills are started on POST, and settled by the id of their job', () =>
  withAdmin(async ({ door, ask }) => {
    const post = (path: string) => ask(path, { method: 'POST' });
    const snapshot = 'snapshot=default/films/monday';
    assert.equal((await post(`/restore-in-place?${snapshot}&mode=shared`)).json.jobId, '501');
    assert.equal((await post(`/restore-drill?${snapshot}`)).json.jobId, '501');
    for (const decision of ['confirm', 'revert'])
      assert.equal((await post(`/restore-jobs/501/${decision}`)).json.jobId, '501');
    assert.deepEqual(door.asked, [
      'in-place default/films/monday shared',
      'drill default/films/monday',
      'confirm 501',
      'revert 501',
    ]);
    for (const [path, status] of [
      ['/restore-in-place', 400],
      [`/restore-in-place?${snapshot}&mode=x`, 400],
      ['/restore-drill?snapshot=films/monday', 400],
      ['/restore-drill?snapshot=default/films/none', 404],
      ['/restore-jobs/7/confirm', 404],
      ['/restore-jobs/x/revert', 400],
    ] as const)
      assert.equal((await post(path)).status, status, path);
    assert.equal((await ask(`/restore-drill?${snapshot}`)).status, 405);
  }));

const RESTORE = '/restore?from=default/films/monday&to=other/films_again';

test('a restore is started on POST with everything it can be asked, and answers its job', () =>
  withAdmin(async ({ door, ask }) => {
    const { status, json } = await ask(RESTORE, { method: 'POST' });
    assert.deepEqual([status, json.jobId, json.state], [200, '600', 'pending']);
    await ask(`${RESTORE}&partitions=a,b&mode=physical&dryRun=false`, { method: 'POST' });
    assert.deepEqual(door.asked, [
      'restore default/films/monday to other/films_again all as configured',
      'restore default/films/monday to other/films_again a,b physical',
    ]);
    assert.equal((await ask(RESTORE)).status, 405);
    for (const wrong of [
      '/restore?to=a/b',
      '/restore?from=a/b/c',
      '/restore?from=a/b/c&to=b',
      '/restore?from=a/b&to=a/b',
      `${RESTORE}&mode=fast`,
      `${RESTORE}&dryRun=1`,
      `${RESTORE}&partitions=a,,b`,
      `${RESTORE}&wait=true`,
    ])
      assert.equal((await ask(wrong, { method: 'POST' })).status, 400, wrong);
    const missing = await ask('/restore?from=default/films/nope&to=a/b', { method: 'POST' });
    assert.deepEqual([missing.status, missing.json.error], [404, 'snapshot-not-found']);
    assert.equal(door.asked.length, 2);
  }));

test('a dry run tells what would be copied and starts nothing; it ends with the connection', () =>
  withAdmin(async ({ door, ask, url }) => {
    const { json } = await ask(`${RESTORE}&dryRun=true&partitions=`, { method: 'POST' });
    assert.deepEqual([json.method, json.totalFiles, json.problemCount], ['hard-link', 36, 0]);
    assert.deepEqual(door.asked, ['preview default/films/monday to other/films_again  as configured']);
    door.isEndless = true;
    const sent = request(`${url}${RESTORE}&dryRun=true`, { method: 'POST', agent: false });
    sent.on('error', () => undefined);
    sent.end();
    while (door.asked.length < 2) await systemClock.sleep(5, new AbortController().signal);
    sent.destroy();
    await door.aborted;
  }));

test('GC is carried out on POST and answers with what went', () =>
  withAdmin(async ({ ask }) => {
    const { json } = await ask('/gc', { method: 'POST' });
    assert.deepEqual(json, {
      deletedObjects: 3,
      deletedBytes: 1_234_567,
      keptObjects: 40,
      keptBytes: 40_000_000,
    });
  }));
