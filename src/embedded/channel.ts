/**
 * The way of the official client's calls to a server in the same process: a channel of gRPC without a socket. The client serializes,
 * retries, logs and waits as ever; HTTP/2 on both sides, half of the time of a search, is what is left out.
 */
import type { ChannelInterface, InterceptingListener, Metadata } from '@grpc/grpc-js';
import { CallRefused, grpcStatus } from '../proxy/transport.ts';
import type { RunningServer } from '../server.ts';
import type { Clock } from '../support/clock.ts';
import { backgroundClock, systemClock } from '../support/system-clock.ts';

type CalledServer = {
  readonly grpcAddress: string;
  readonly calls: Pick<RunningServer['calls'], 'call'>;
};
type Call = ReturnType<ChannelInterface['createCall']>;
type Deadline = Parameters<ChannelInterface['createCall']>[1];
type Status = Parameters<Call['cancelWithStatus']>[0];

type ChannelKind = ReturnType<ChannelInterface['getChannelzRef']>['kind'];

const OK: Status = 0;
/** `connectivityState` of gRPC. */
const READY = 2;
const SHUTDOWN = 4;
/** The longest that a timer waits. */
const NEVER_MS = 2 ** 31 - 1;
/** Answers that are there at once let others have their turn after so long. */
const TURN_MS = 2;

/** A channel to the server, for `channelFactoryOverride` of a client. Calls are unary: one message each way. */
export class LocalChannel implements ChannelInterface {
  readonly #server: CalledServer;
  readonly #turn = new Turn();
  #calls = 0;
  #isClosed = false;

  constructor(server: CalledServer) {
    this.#server = server;
  }

  createCall(method: string, deadline: Deadline): Call {
    const rpc = method.slice(method.lastIndexOf('/') + 1);
    const send = async (body: Uint8Array, metadata: Metadata): Promise<Uint8Array> => {
      if (this.#isClosed) throw new CallRefused(grpcStatus.unavailable, 'the client is closed');
      const answer = await this.#server.calls.call({
        rpc,
        body,
        metadata: (key) => metadata.get(key)[0]?.toString(),
      });
      await this.#turn.next();
      return answer;
    };
    return new LocalCall(send, deadline, this.getTarget(), this.#calls++);
  }

  close(): void {
    this.#isClosed = true;
  }

  getTarget(): string {
    return this.#server.grpcAddress;
  }

  getConnectivityState(): typeof READY | typeof SHUTDOWN {
    return this.#isClosed ? SHUTDOWN : READY;
  }

  /** It is ready from the first moment on. */
  watchConnectivityState(_current: number, deadline: Date | number, callback: (error?: Error) => void): void {
    const told = () => callback(new Error('the state of the channel did not change'));
    atDeadline(backgroundClock, deadline, new AbortController().signal, told);
  }

  getChannelzRef(): ReturnType<ChannelInterface['getChannelzRef']> {
    return { kind: 'channel' as ChannelKind, id: 0, name: this.getTarget() };
  }
}

/** Whoever asks again and again without a wait must not keep timers and sockets from their turn. */
class Turn {
  #beganMs: number | undefined;

  /** Undefined while the turn is young; otherwise resolves in the next one. */
  next(): Promise<void> | undefined {
    const nowMs = systemClock.monotonicMs();
    if (this.#beganMs === undefined) {
      this.#beganMs = nowMs;
      setImmediate(() => {
        this.#beganMs = undefined;
      });
    }
    return nowMs - this.#beganMs < TURN_MS ? undefined : new Promise((resolve) => setImmediate(resolve));
  }
}

/** Why the wait for a deadline ends with its call. One for all: nobody reads it. */
const ENDED = 'the call has ended';

function atDeadline(clock: Clock, deadline: Deadline, signal: AbortSignal, act: () => void): void {
  const waitMs = Number(deadline) - clock.nowMs();
  if (waitMs <= NEVER_MS) clock.sleep(Math.max(0, waitMs), signal).then(act, () => undefined);
}

class LocalCall implements Call {
  readonly #send: (body: Uint8Array, metadata: Metadata) => Promise<Uint8Array>;
  readonly #deadline: Deadline;
  readonly #peer: string;
  readonly #number: number;
  #to: { readonly metadata: Metadata; readonly listener: InterceptingListener } | undefined;
  readonly #ended = new AbortController();

  constructor(
    send: (body: Uint8Array, metadata: Metadata) => Promise<Uint8Array>,
    deadline: Deadline,
    peer: string,
    number: number,
  ) {
    this.#send = send;
    this.#deadline = deadline;
    this.#peer = peer;
    this.#number = number;
  }

  start(metadata: Metadata, listener: InterceptingListener): void {
    this.#to = { metadata, listener };
    atDeadline(systemClock, this.#deadline, this.#ended.signal, () =>
      this.cancelWithStatus(grpcStatus.deadlineExceeded, 'Deadline exceeded'),
    );
  }

  /** There is no other message to wait for. A copy: large requests move to another thread, and the client may send its bytes again. */
  sendMessageWithContext({ callback }: { callback?: () => void }, message: Buffer): void {
    callback?.();
    if (this.#to === undefined || this.#ended.signal.aborted) return;
    this.#send(Uint8Array.prototype.slice.call(message), this.#to.metadata).then(
      (answer) => this.#end(OK, 'OK', answer),
      ({ grpcStatus: code, message: details }: CallRefused) => this.#end(code, details),
    );
  }

  halfClose(): void {}

  cancelWithStatus(code: Status, details: string): void {
    this.#end(code, details);
  }

  #end(code: Status, details: string, answer?: Uint8Array): void {
    if (this.#ended.signal.aborted || this.#to === undefined) return;
    this.#ended.abort(ENDED);
    const { metadata: asked, listener } = this.#to;
    // Of the client's own copy of the library.
    const metadata = new (asked.constructor as typeof Metadata)();
    if (answer !== undefined) {
      listener.onReceiveMetadata(metadata);
      listener.onReceiveMessage(Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength));
    }
    listener.onReceiveStatus({ code, details, metadata });
  }

  /** The one message is asked for at once, and handed out when it is there. */
  startRead(): void {}

  getPeer(): string {
    return this.#peer;
  }

  getCallNumber(): number {
    return this.#number;
  }

  /** Of nobody: the process is the caller's own. */
  getAuthContext(): null {
    return null;
  }

  setCredentials(): void {}
}
