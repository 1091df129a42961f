import type { Config } from '../config/options.ts';

/** Keys and values of docs/configuration.md. What `open` takes by a name of its own is not among them. */
export type TidemarkConfig = Partial<Omit<Config, 'localStorage.path' | 'log.level'>>;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Takes each line of the log: what happened, in a word, and what belongs to it. Must not throw. */
export type LogFunction = (level: LogLevel, event: string, fields: Readonly<Record<string, unknown>>) => void;

export interface OpenOptions {
  /** The data directory; made when it is not there. One database has it open at a time. */
  readonly dir: string;
  /** Unknown keys and values out of range are refused. With `proxy.port` or `proxy.ip` it listens there, with `metrics.port` HTTP is served. */
  readonly config?: TidemarkConfig;
  /** `silent` unless given. A level: JSON lines on standard error from that level on. */
  readonly log?: LogLevel | 'silent' | LogFunction;
  /** Ends the opening with its reason, as soon as the step under way has ended. An open database does not look at it. */
  readonly signal?: AbortSignal;
}
