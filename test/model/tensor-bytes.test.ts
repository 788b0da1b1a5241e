import { expect, it } from 'vitest';
import { DType } from '../../src/dtypes.ts';
import { Tensor } from '../../src/model/tensor.ts';
import { bytesInMemory } from '../../src/model/tensor-bytes.ts';
import { toInt64 } from '../../src/proto/int64.ts';
import type { onnx } from '../../src/proto/onnx.ts';

const [UINT16, UINT32, UINT64, INT4] = [4, 12, 13, 22];

function typed(dtype: number, dims: readonly number[], proto: onnx.ITensorProto): string {
  const bytes = bytesInMemory(new Tensor(proto, dtype, dims, { kind: 'proto' }));
  return bytes === undefined ? 'none' : Buffer.from(bytes).toString('hex');
}

it('reads every typed field as raw_data would hold it', () => {
  expect(typed(DType.FLOAT, [1], { floatData: [-2] })).toBe('000000c0');
  expect(typed(DType.DOUBLE, [1], { doubleData: [-2] })).toBe('00000000000000c0');
  expect(typed(DType.INT32, [2], { int32Data: [-1, 2] })).toBe('ffffffff02000000');
  expect(typed(DType.FLOAT16, [2], { int32Data: [0xc000, 1] })).toBe('00c00100');
  expect(typed(UINT16, [1], { int32Data: [65535] })).toBe('ffff');
  expect(typed(DType.BOOL, [3], { int32Data: [1, 0, 1] })).toBe('010001');
  expect(typed(INT4, [3], { int32Data: [0x21, 0x03] })).toBe('2103');
  const wide = toInt64(-(2n ** 63n), 'an element');
  expect(typed(DType.INT64, [2], { int64Data: [wide, 1] })).toBe(
    '0000000000000080' + '0100000000000000',
  );
  expect(typed(UINT32, [1], { uint64Data: [2 ** 32 - 1] })).toBe('ffffffff');
  expect(typed(UINT64, [1], { uint64Data: [2 ** 53 - 1] })).toBe('ffffffffffff1f00');
});

it('has nothing for strings, for files and for what is not whole', () => {
  expect(typed(DType.STRING, [1], { stringData: [new Uint8Array(1)] })).toBe('none');
  expect(typed(DType.FLOAT, [2], { floatData: [1] })).toBe('none');
  expect(typed(DType.FLOAT, [2], {})).toBe('none');
  expect(typed(DType.FLOAT, [0], {})).toBe('');
  const file = { fd: -1, path: 'x', byteLength: 8 };
  const data = { kind: 'range', file, byteOffset: 0, byteLength: 8 } as const;
  expect(bytesInMemory(Tensor.create(DType.FLOAT, [2], data))).toBeUndefined();
});

it('takes bytes that are there as they are', () => {
  const bytes = Uint8Array.of(1, 2);
  expect(bytesInMemory(Tensor.create(DType.UINT8, [2], { kind: 'inline', bytes }))).toBe(bytes);
});
