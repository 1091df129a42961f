/** From method and URL to the route that answers. */
import { HttpRefusal } from './refusal.ts';

export type Answer =
  | { readonly kind: 'whole'; readonly status: number; readonly type: string; readonly body: string }
  /** One JSON value a line, as they come. */
  | { readonly kind: 'lines'; readonly lines: AsyncIterable<unknown> };

export interface Asked {
  /** The decoded segments that the path names; not checked yet. */
  readonly params: Readonly<Record<string, string>>;
  /** Given parameters, each known and given once; not checked yet. */
  readonly query: Readonly<Record<string, string>>;
  /** Aborted when the client goes away or the server stops. */
  readonly signal: AbortSignal;
}

export interface Route {
  readonly method: 'GET' | 'POST';
  /** `{name}` stands for one segment. */
  readonly path: string;
  readonly query: readonly string[];
  readonly help: string;
  /** Reads much or changes something: not for other sites, and only a few at once. */
  readonly isWork: boolean;
  answer(asked: Asked): Promise<Answer> | Answer;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

/** HEAD goes where GET goes. Throws `HttpRefusal`. */
export function findRoute(routes: readonly Route[], method: string, url: string): Match {
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const segments = path.split('/').slice(1).map(decode);
  const there = routes.flatMap((route) => {
    const params = match(route.path.split('/').slice(1), segments);
    return params === undefined ? [] : [{ route, params }];
  });
  if (there.length === 0) throw new HttpRefusal(404, `nothing is served at '${path}': / lists what is`);
  const wanted = method === 'HEAD' ? 'GET' : method;
  const found = there.find(({ route }) => route.method === wanted);
  if (found === undefined) {
    const allow = there.map(({ route }) => (route.method === 'GET' ? 'GET, HEAD' : route.method)).join(', ');
    throw new HttpRefusal(405, `'${path}' is served to ${allow}, not to ${method}`, { allow });
  }
  return { ...found, query: parseQuery(mark < 0 ? '' : url.slice(mark + 1), found.route) };
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i] ?? '';
    if (part.startsWith('{')) params[part.slice(1, -1)] = segment;
    else if (part !== segment) return undefined;
  }
  return params;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new HttpRefusal(400, `the path is not properly encoded: '${segment}'`);
  }
}

/** What is spelt wrong must not be taken for what is absent: an unknown parameter is refused. */
function parseQuery(text: string, { path, query }: Route): Readonly<Record<string, string>> {
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (!query.includes(name))
      throw new HttpRefusal(
        400,
        `unknown parameter '${name}': ${path} ${query.length === 0 ? 'has none' : `knows ${query.join(', ')}`}`,
      );
    if (given.has(name)) throw new HttpRefusal(400, `parameter '${name}' is given twice`);
    given.set(name, value);
  }
  return Object.fromEntries(given);
}
