/** Pure: how gRPC puts messages and statuses into HTTP/2. Source: the gRPC over HTTP/2 protocol description. */
import { CallRefused, grpcStatus } from './transport.ts';

/** Compressed flag and length in front of each message. */
const PREFIX_BYTES = 5;

export interface GrpcMessage {
  readonly isCompressed: boolean;
  readonly body: Uint8Array<ArrayBuffer>;
}

/**
 * Puts the one message of a unary request together. Its memory is taken once, when its length is known, and every chunk is
 * copied to its place as it comes: nothing is left to be done at once when a large message is complete.
 */
export class MessageReader {
  readonly #admit: (length: number) => void;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixLength = 0;
  #body: Uint8Array<ArrayBuffer> | undefined;
  #received = 0;

  /** `admit` is told the length before memory is taken; it throws `CallRefused` to refuse. */
  constructor(admit: (length: number) => void) {
    this.#admit = admit;
  }

  get isWhole(): boolean {
    return this.#received === this.#body?.length;
  }

  /** Throws `CallRefused` when it is too long or followed by something. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (this.#prefixLength < PREFIX_BYTES && at < chunk.length)
      this.#prefix[this.#prefixLength++] = chunk[at++] as number;
    if (this.#prefixLength < PREFIX_BYTES) return;
    this.#body ??= this.#take();
    const rest = at === 0 ? chunk : chunk.subarray(at);
    if (rest.length > this.#body.length - this.#received)
      throw new CallRefused(grpcStatus.unimplemented, 'a unary call carries one message');
    this.#body.set(rest, this.#received);
    this.#received += rest.length;
  }

  /** When it is whole, or at the end of the request. Throws `CallRefused` when there is no whole message. */
  finish(): GrpcMessage {
    if (this.#body === undefined || this.#received < this.#body.length)
      throw new CallRefused(grpcStatus.internal, 'the request ended before its message did');
    return { isCompressed: this.#prefix[0] === 1, body: this.#body };
  }

  #take(): Uint8Array<ArrayBuffer> {
    const length = new DataView(this.#prefix.buffer).getUint32(1);
    this.#admit(length);
    // Not from the pool of small buffers: whoever works on the message may hand its memory to another thread.
    const { buffer } = Buffer.allocUnsafeSlow(length);
    return new Uint8Array(buffer as ArrayBuffer, 0, length);
  }
}

/** A message with its prefix: in one piece when it is small. */
export function frameMessage(body: Uint8Array): Uint8Array[] {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(body.length, 1);
  return body.length <= 65_536 ? [Buffer.concat([prefix, body])] : [prefix, body];
}

/** `grpc-message`: everything but printable ASCII, and the percent sign, is percent-encoded. */
export const encodeStatusText = (text: string): string =>
  Buffer.from(text, 'utf8').reduce(
    (encoded, byte) =>
      encoded +
      (byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`),
    '',
  );

const unitMs: Readonly<Record<string, number>> = { H: 3.6e6, M: 6e4, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** The longest that a timer can wait. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** `grpc-timeout` in milliseconds; undefined when it is absent. Throws `CallRefused` when it is malformed. */
export function timeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  const factor = unitMs[unit ?? ''];
  if (factor === undefined) throw new CallRefused(grpcStatus.internal, 'malformed grpc-timeout');
  return Math.min(MAX_TIMEOUT_MS, Math.ceil(Number(digits) * factor));
}
