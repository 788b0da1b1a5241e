/** All cases of the acceptance matrix, in the order of docs/external-data.md. */

import type { CaseGroup } from './case.ts';
import { entryGroups } from './entries.ts';
import { caches, links, outside } from './links.ts';
import { inside, nothing } from './names.ts';
import { tensorGroups } from './tensors.ts';

export const groups: readonly CaseGroup[] = [
  inside,
  links,
  caches,
  outside,
  nothing,
  ...entryGroups,
  ...tensorGroups,
];
