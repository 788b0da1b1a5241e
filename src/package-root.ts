/** Where this package lies, whichever of its modules asks: `src/` and `dist/` are one folder deep, a bundle another. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** What a checkout and the installed package have in their directory, and a folder of modules has not. */
const LANDMARK = join('native', 'build.mjs');

/** Directory of the package: the nearest one above this module that has the landmark. */
export function packageRoot(): string {
  let directory = import.meta.dirname;
  while (!existsSync(join(directory, LANDMARK)) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  return directory;
}
