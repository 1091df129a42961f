/**
 * Who may ask. A browser on this machine reaches a loopback port too, so a page of somebody else must neither read (a name of
 * theirs that resolves to this address) nor make the server work (a form or an image that points here).
 */
import { isIP } from 'node:net';
import { HttpRefusal } from './refusal.ts';

const MAX_URL_LENGTH = 4096;

export interface RequestHead {
  readonly method: string;
  readonly url: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** `Sec-Fetch-Site`: browsers only. */
  readonly fetchSite: string | undefined;
  readonly contentLength: string | undefined;
  readonly transferEncoding: string | undefined;
  /** The address of this machine that the connection came to. */
  readonly localAddress: string | undefined;
}

/** Throws `HttpRefusal` for a request nobody should have sent. `listenHost` is the address or name listened on. */
export function checkHead(head: RequestHead, listenHost: string): void {
  if (head.url.length > MAX_URL_LENGTH)
    throw new HttpRefusal(414, `the URL is longer than ${MAX_URL_LENGTH} characters`);
  if (!head.url.startsWith('/')) throw new HttpRefusal(400, 'the request does not ask for a path');
  if (head.transferEncoding !== undefined || Number(head.contentLength ?? 0) !== 0)
    throw new HttpRefusal(413, 'requests have no body here: parameters stand in the URL');
  checkHost(head, listenHost);
}

function checkHost({ host, localAddress }: RequestHead, listenHost: string): void {
  if (host === undefined) throw new HttpRefusal(400, 'the request has no Host header');
  const name = hostName(host);
  const own = [listenHost, localAddress ?? ''].map((own) => plainAddress(own.toLowerCase()));
  if (isLoopback(name) || own.includes(name)) return;
  throw new HttpRefusal(
    403,
    `Host '${host}' is neither localhost nor the address this server listens on: use its address`,
  );
}

/** Without port and brackets. */
function hostName(host: string): string {
  const found = /^(?:\[([^\]]+)\]|([^:]*))(?::\d+)?$/.exec(host.toLowerCase());
  return plainAddress(found?.[1] ?? found?.[2] ?? '');
}

/** An IPv4 address that arrived over an IPv6 socket, as people write it. */
const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '');

const isLoopback = (name: string): boolean =>
  name === 'localhost' || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));

/** Throws `HttpRefusal` when a browser sends this on behalf of another site. Asked for what changes something or takes long. */
export function checkSite({ host, origin, fetchSite }: RequestHead): void {
  const isOwnOrigin = origin === undefined || origin.toLowerCase() === `http://${host?.toLowerCase()}`;
  const isOwnSite = fetchSite === undefined || fetchSite === 'same-origin' || fetchSite === 'none';
  if (!isOwnOrigin || !isOwnSite) throw new HttpRefusal(403, 'another site may not ask for this');
}
