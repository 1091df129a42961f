/** Stands in for `node:test` below `.mutants`: tests are kept, so that one process can run each of them many times. */
export interface CollectedTest {
  /** Its file and its sentence. */
  readonly id: string;
  readonly run: () => Promise<void>;
}

type Work = () => unknown;

interface Scope {
  readonly name: string;
  readonly before: Work[];
  readonly after: Work[];
}

const tests = new Map<string, CollectedTest>();
let scopes: readonly Scope[] = [];

/** The tests of the file that `load` imports. */
export async function collect(file: string, load: () => Promise<unknown>): Promise<void> {
  scopes = [{ name: file, before: [], after: [] }];
  await load();
}

export const collected = (): ReadonlyMap<string, CollectedTest> => tests;

export function test(name: string, ...rest: readonly unknown[]): Promise<void> {
  const work = rest.at(-1) as Work;
  const options = (rest.length > 1 ? rest[0] : {}) as { readonly skip?: unknown };
  if (options.skip !== undefined && options.skip !== false) return Promise.resolve();
  const within = scopes;
  const base = [...within.map((scope) => scope.name), name].join(' > ');
  let id = base;
  for (let n = 2; tests.has(id); n++) id = `${base} (${n})`;
  const run = async () => {
    for (const hook of within.flatMap((scope) => scope.before)) await hook();
    try {
      await work();
    } finally {
      for (const hook of within.flatMap((scope) => scope.after)) await hook();
    }
  };
  tests.set(id, { id, run });
  return Promise.resolve();
}

export function describe(name: string, ...rest: readonly unknown[]): Promise<void> {
  const outer = scopes;
  scopes = [...outer, { name, before: [], after: [] }];
  (rest.at(-1) as Work)();
  scopes = outer;
  return Promise.resolve();
}

const hook = (kind: 'before' | 'after') => (work: Work) => {
  scopes.at(-1)?.[kind].push(work);
};

/** Each test is run alone, so that what stands around all of them stands around each. */
export const before = hook('before');
export const after = hook('after');
export const beforeEach = hook('before');
export const afterEach = hook('after');
