import { resolve } from 'node:path';
import type { Config } from '../../config/options.ts';
import { startServer } from '../../server.ts';
import { systemUptimeMs } from '../../support/system-clock.ts';
import { version } from '../version.ts';

/**
 * Runs a server until SIGINT or SIGTERM, then stops it cleanly: what was acknowledged is on disk. A second signal ends the
 * process at once. Exit codes: 0 stopped as asked, 1 could not start.
 */
export async function serve(config: Config, say: (text: string) => void): Promise<number> {
  const stopping = signals();
  const server = await startServer(config, version);
  const { grpcAddress, httpAddress } = server;
  say(`Tidemark ${version} is ready (${Math.round(systemUptimeMs())} ms)
  gRPC  ${grpcAddress}    connect: new MilvusClient({ address: '${grpcAddress}' })
  HTTP  http://${httpAddress}    /healthz, /metrics
  data  ${resolve(config['localStorage.path'])}
Ctrl-C stops it.`);
  await stopping;
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
