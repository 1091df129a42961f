import { resolve } from 'node:path';
import type { Config } from '../../config/options.ts';
import { DbError } from '../../errors/db-error.ts';
import { startServer } from '../../server.ts';
import { systemClock, systemUptimeMs } from '../../support/system-clock.ts';
import { systemLog } from '../../support/system-log.ts';
import { version } from '../../support/version.generated.ts';

/** How long a server that cannot go on may take to let go of what it holds. */
const GIVE_UP_MS = 5_000;

/**
 * Runs a server until SIGINT or SIGTERM, then stops it cleanly: what was acknowledged is on disk. A second signal ends the
 * process at once. A server that cannot go on is given up: throws why, once it is closed or `GIVE_UP_MS` have passed.
 */
export async function serve(config: Config, say: (text: string) => void): Promise<number> {
  const stopping = signals();
  const server = await startServer({
    config,
    version,
    log: systemLog(config['log.level']),
    grpc: 'ports',
    http: true,
  });
  const { grpcAddress, httpAddress } = server;
  say(`Tidemark ${version} is ready (${Math.round(systemUptimeMs())} ms)
  gRPC  ${grpcAddress}    connect: new MilvusClient({ address: '${grpcAddress}' })
  HTTP  http://${httpAddress}    /healthz, /metrics; / lists the rest
  data  ${resolve(config['localStorage.path'])}
Ctrl-C stops it.`);
  const failure = await Promise.race([stopping, server.failed]);
  if (failure !== 'stop') {
    await Promise.race([
      Promise.allSettled([server.close()]),
      systemClock.sleep(GIVE_UP_MS, new AbortController().signal),
    ]);
    throw new DbError(failure.code, `giving up: ${failure.message}`, { cause: failure });
  }
  say('Stopping ...');
  await server.close();
  say('Stopped. Everything acknowledged is on disk.');
  return 0;
}

/** Resolves at the first signal; the second one ends the process. */
function signals(): Promise<'stop'> {
  return new Promise((resolveSignal) => {
    let count = 0;
    const onSignal = () => {
      if (++count > 1) process.exit(1);
      resolveSignal('stop');
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
