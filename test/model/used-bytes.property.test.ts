import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DType } from '../../src/dtypes.ts';
import { Tensor } from '../../src/model/tensor.ts';
import type { SourceFile } from '../../src/model/tensor-data.ts';
import { UsedBytes } from '../../src/model/used-bytes.ts';

const LENGTH = 40;

it('tells for each file which bytes tensors refer to, in whatever order and however they overlap', () => {
  const files: readonly SourceFile[] = [1, 2].map((fd) => ({
    fd,
    path: `${fd}`,
    byteLength: LENGTH,
  }));
  const range = fc.record({
    file: fc.constantFrom(0, 1),
    byteOffset: fc.nat(LENGTH),
    byteLength: fc.nat(LENGTH),
  });
  fc.assert(
    fc.property(fc.array(range), (ranges) => {
      const used = new UsedBytes();
      const expected = files.map(() => ({ bytes: new Set<number>(), referred: 0 }));
      for (const { file, byteOffset, byteLength } of ranges) {
        const at = {
          kind: 'range',
          file: files[file] as SourceFile,
          byteOffset,
          byteLength,
        } as const;
        used.add(Tensor.create(DType.UINT8, [byteLength], at));
        const use = expected[file] as (typeof expected)[number];
        use.referred += byteLength;
        for (let byte = 0; byte < byteLength; byte++) use.bytes.add(byteOffset + byte);
      }
      const found = used.byFile();
      files.forEach((file, index) => {
        const { bytes, referred } = expected[index] as (typeof expected)[number];
        const use = found.get(file) ?? { distinct: 0, referred: 0 };
        expect(use).toEqual({ distinct: bytes.size, referred });
      });
    }),
  );
});
