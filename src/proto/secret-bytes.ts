/** Random bytes that no file can foresee. */

import { loadNative } from '../native.ts';

/** So many random bytes. Of the addon where there is one: loading `node:crypto` takes 10 ms, opening a model 50. */
export function secretBytes(byteLength: number): Buffer {
  const addon = loadNative();
  const bytes = Buffer.alloc(byteLength);
  if (addon === undefined) process.getBuiltinModule('node:crypto').randomFillSync(bytes);
  else addon.randomFill(bytes);
  return bytes;
}
