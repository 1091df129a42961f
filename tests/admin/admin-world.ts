/** An admin server over a fake door on a free port, and raw requests to it. */
import { type IncomingHttpHeaders, type RequestOptions, request } from 'node:http';
import { AdminServer } from '../../src/admin/server.ts';
import { parseJson } from '../../src/support/json.ts';
import { silentLog } from '../../src/support/log.ts';
import { systemClock } from '../../src/support/system-clock.ts';
import { FakeDoor } from './fake-door.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read fields of many answers.
  readonly json: any;
}

export interface AdminWorld {
  readonly door: FakeDoor;
  readonly admin: AdminServer;
  readonly url: string;
  ask(path: string, options?: RequestOptions, body?: string): Promise<Reply>;
}

export async function withAdmin(
  run: (world: AdminWorld) => Promise<void>,
  door = new FakeDoor(),
): Promise<void> {
  const host = '127.0.0.1';
  const admin = await AdminServer.listen({
    host,
    port: 0,
    coordinator: door,
    version: '0.0.0',
    clock: systemClock,
    log: silentLog,
  });
  const { port } = admin;
  const ask: AdminWorld['ask'] = (path, options, body) =>
    new Promise((resolve, reject) => {
      const sent = request({ host, port, path, agent: false, ...options }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.once('error', reject);
        response.once('end', () => {
          const { statusCode: status = 0, headers } = response;
          const isJson = headers['content-type'] === 'application/json' && text !== '';
          resolve({ status, headers, body: text, json: isJson ? parseJson(text) : undefined });
        });
      });
      sent.once('error', reject);
      sent.end(body);
    });
  try {
    await run({ door, admin, url: `http://${host}:${port}`, ask });
  } finally {
    await admin.close();
  }
}
