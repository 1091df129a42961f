/** What a caller gave, checked, as the server takes it. */
import { resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { type Config, options } from '../config/options.ts';
import { DbError } from '../errors/db-error.ts';
import type { ServerOptions } from '../server.ts';
import { type Log, silentLog } from '../support/log.ts';
import { version } from '../support/version.generated.ts';
import type { LogFunction, LogLevel, OpenOptions, TidemarkConfig } from './options.ts';

const known: ReadonlySet<string> = new Set(['dir', 'config', 'log', 'signal']);
/** What `open` takes by a name of its own. */
const named: Readonly<Record<string, string>> = { 'localStorage.path': 'dir', 'log.level': 'log' };

/** Throws `parameter-invalid` that names the option. */
export async function serverOptions(given: OpenOptions): Promise<ServerOptions> {
  const { dir, config = {}, signal } = given;
  for (const name of Object.keys(given)) if (!known.has(name)) throw invalid(`unknown option '${name}'`);
  if (typeof dir !== 'string' || dir === '') throw invalid('dir: is not the name of a directory');
  // `chdir` must not move an open database.
  const settings = configOf(config, resolve(dir));
  const isGiven = (key: keyof TidemarkConfig) => config[key] !== undefined;
  return {
    config: settings,
    version,
    log: await logOf(given.log ?? 'silent'),
    grpc: isGiven('proxy.port') || isGiven('proxy.ip') ? 'ports' : 'private',
    http: isGiven('metrics.port'),
    ...(signal && { signal }),
  };
}

function configOf(config: TidemarkConfig, path: string): Config {
  if (typeof config !== 'object' || config === null) throw invalid('config: is not an object');
  const given = Object.entries(config).filter(([, value]) => value !== undefined);
  for (const [key] of given) {
    const name = named[key];
    if (name !== undefined) throw invalid(`config: '${key}' is given by the option '${name}'`);
  }
  const file = { ...Object.fromEntries(given), 'localStorage.path': path };
  return loadConfig({ file, fileName: 'config', environment: {}, flags: {} });
}

async function logOf(log: LogLevel | 'silent' | LogFunction): Promise<Log> {
  if (typeof log === 'function') return logTo(log);
  if (log === 'silent') return silentLog;
  const levels = options['log.level'].oneOf ?? [];
  if (!levels.includes(log)) throw invalid(`log: '${String(log)}' is not one of ${levels.join(', ')}`);
  const { systemLog } = await import('../support/system-log.ts');
  return systemLog(log);
}

function logTo(write: LogFunction): Log {
  const at =
    (level: LogLevel) =>
    (event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      try {
        write(level, event, fields);
      } catch (error) {
        // The caller's mistake, told where it is told: the database is in the middle of something.
        queueMicrotask(() => {
          throw error;
        });
      }
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const invalid = (what: string): DbError => new DbError('parameter-invalid', `Tidemark.open: ${what}`);
