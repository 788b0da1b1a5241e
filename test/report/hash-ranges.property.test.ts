import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { SourceFile } from '../../src/model/tensor-data.ts';
import { DIGEST_BYTES, hashRanges } from '../../src/report/hash-ranges.ts';
import { TensorRanges } from '../../src/report/tensor-ranges.ts';
import { failure, useWorkspace } from '../external-data/workspace.ts';

const workspace = useWorkspace();

/** Two and a half windows. */
const BYTES = 10 * 2 ** 20;
const CONTENT = Buffer.alloc(BYTES);
for (let i = 0; i < BYTES; i++) CONTENT[i] = (i * 31) ^ (i >> 11);

let files: SourceFile[] = [];
beforeEach(() => {
  files = ['a.data', 'b.data'].map((name, index) => {
    const content = CONTENT.subarray(index);
    const path = workspace.write(name, content);
    return { path, fd: openSync(path, 'r'), byteLength: content.length };
  });
});
afterEach(() => {
  for (const { fd } of files) closeSync(fd);
});

const place = fc.oneof(fc.nat(BYTES - 1), fc.constantFrom(0, 4 * 2 ** 20, BYTES - 1));
const spans = fc.array(fc.record({ file: fc.nat(1), a: place, b: place, isTwice: fc.boolean() }), {
  maxLength: 12,
});

it('gives the digest of each range, whatever the order and however they overlap', async () => {
  await fc.assert(
    fc.asyncProperty(spans, async (list) => {
      const ranges = new TensorRanges();
      const expected: string[] = [];
      let distinct = 0;
      const seen = new Set<string>();
      for (const { file: index, a, b, isTwice } of list) {
        const file = files[index] as SourceFile;
        const byteOffset = Math.min(a, b);
        const byteLength = Math.min(Math.abs(a - b), file.byteLength - byteOffset);
        const content = CONTENT.subarray(index).subarray(byteOffset, byteOffset + byteLength);
        for (let time = 0; time < (isTwice ? 2 : 1); time++) {
          ranges.add({ file, byteOffset, byteLength }, 1);
          expected.push(createHash('sha256').update(content).digest('hex'));
        }
        const key = `${index} ${byteOffset} ${byteLength}`;
        if (!seen.has(key)) distinct += byteLength;
        seen.add(key);
      }
      let hashed = 0;
      const digests = await hashRanges(ranges, (byteLength) => {
        hashed += byteLength;
      });
      const actual = expected.map((_, index) =>
        digests.toString('hex', DIGEST_BYTES * index, DIGEST_BYTES * (index + 1)),
      );
      expect(actual).toEqual(expected);
      expect(hashed).toBe(distinct);
    }),
    { numRuns: 20 },
  );
});

it('fails where a file is shorter than it was', async () => {
  const ranges = new TensorRanges();
  const [file] = files as [SourceFile];
  const longer = { ...file, byteLength: BYTES + 100 };
  ranges.add({ file: longer, byteOffset: BYTES - 50, byteLength: 100 }, 1);
  const error = await failure(() => hashRanges(ranges, () => undefined));
  expect(error).toMatchObject({ name: 'ResourceError', code: 'ERR_CHANGED' });
});
