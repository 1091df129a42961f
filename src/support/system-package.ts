/** Where the files of this package are: scripts of worker threads are found by their place. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { DbError } from '../errors/db-error.ts';

const A_SCRIPT = 'catalog-worker.js';

/**
 * The folder of this build, with a slash at its end. In a program that bundles Tidemark into a file of its own, this module lies where
 * that file does: then the build is the one of the installed package. Throws `unimplemented` when there is none.
 */
export function buildFolder(self: string | undefined = import.meta.url): URL {
  try {
    // Where a bundler makes CommonJS of us, no module knows its place.
    const own = new URL('../', self);
    if (existsSync(new URL(A_SCRIPT, own))) return own;
    return new URL('./', pathToFileURL(createRequire(own).resolve('tidemark')));
  } catch (cause) {
    throw new DbError(
      'unimplemented',
      "the scripts of Tidemark's threads are not there: when bundling, leave the package 'tidemark' outside of the bundle (external) and install it beside",
      { cause },
    );
  }
}
