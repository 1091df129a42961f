import type { Clock } from '../support/clock.ts';

/** How calls reach us, without saying by which library: bytes in, bytes out. */
export interface IncomingCall {
  /** RPC name without the service. */
  readonly rpc: string;
  readonly body: Uint8Array;
  /** First value of a metadata key, lower case; undefined when absent. */
  metadata(key: string): string | undefined;
}

/** Numbers of the gRPC specification. */
export const grpcStatus = {
  cancelled: 1,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** Ends a call with a gRPC status instead of an answer. */
export class CallRefused extends Error {
  override readonly name = 'CallRefused';
  readonly grpcStatus: number;
  constructor(status: number, message: string) {
    super(message);
    this.grpcStatus = status;
  }
}

/** What a call that fails is told: the refusal itself, else that the fault is ours. Throws always. */
export function refusedAs(error: unknown): never {
  throw error instanceof CallRefused
    ? error
    : new CallRefused(grpcStatus.internal, 'internal error of the server');
}

/** Throws `CallRefused` when a request is too large. */
export function requireSize(length: number, maxReceiveBytes: number): void {
  if (length > maxReceiveBytes)
    throw new CallRefused(
      grpcStatus.resourceExhausted,
      `received message larger than max (${length} vs. ${maxReceiveBytes})`,
    );
}

export interface TransportOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** A Unix socket, instead of host and port. */
  readonly path?: string;
  /** Further ones are dropped as they come, and `dropped` is called. */
  readonly maxConnections: number;
  readonly dropped: () => void;
  /** Larger requests are refused with RESOURCE_EXHAUSTED before they are read whole. */
  readonly maxReceiveBytes: number;
  /** Announced bytes of all requests that are still coming in, and bytes of answers not yet taken; one request always fits. */
  readonly maxIncomingBytes: number;
  readonly service: string;
  readonly clock: Clock;
  readonly served: readonly string[];
  /** With what their callers are told. */
  readonly unserved: ReadonlyMap<string, string>;
  /** Answers a served RPC; rejects with `CallRefused`, and with nothing else. */
  readonly answer: (call: IncomingCall) => Promise<Uint8Array>;
}

export interface Transport {
  readonly port: number;
  /** Takes no new connections and calls; resolves when the running calls have ended. */
  drain(): Promise<void>;
  /** Cuts everything off. */
  close(): void;
}
