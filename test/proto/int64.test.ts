import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { longToBigInt, longToNumber, toInt64 } from '../../src/proto/int64.ts';
import { onnx } from '../../src/proto/onnx.ts';

function throughTheWire(value: bigint): onnx.IOperatorSetIdProto['version'] {
  const bytes = onnx.OperatorSetIdProto.encode({ version: toInt64(value, 'v') }).finish();
  return onnx.OperatorSetIdProto.decode(bytes).version;
}

describe('int64 fields', () => {
  test('every signed 64-bit integer survives', () => {
    fc.assert(
      fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (value) => {
        expect(longToBigInt(throughTheWire(value))).toBe(value);
      }),
      { examples: [[-1n], [2n ** 53n], [-(2n ** 53n)], [2n ** 32n], [-(2n ** 63n)]] },
    );
  });

  test('become numbers exactly or not at all', () => {
    expect(longToNumber(throughTheWire(BigInt(Number.MAX_SAFE_INTEGER)), 'v')).toBe(2 ** 53 - 1);
    expect(longToNumber(throughTheWire(-7n), 'v')).toBe(-7);
    expect(longToNumber(5, 'v')).toBe(5);
    expect(longToNumber(undefined, 'v')).toBe(0);
    expect(() => longToNumber(throughTheWire(2n ** 53n), 'dims[0] of "w"')).toThrow(
      'dims[0] of "w" is 9007199254740992',
    );
    expect(() => longToNumber(0.5, 'v')).toThrow('v is 0.5');
  });

  test('are refused when they do not fit', () => {
    expect(() => toInt64(2n ** 63n, 'axis')).toThrow('axis is 9223372036854775808');
    expect(() => toInt64(1.5, 'axis')).toThrow('axis is 1.5');
    expect(() => toInt64(2 ** 53, 'axis')).toThrow('axis is 9007199254740992');
    expect(toInt64(-3, 'axis')).toBe(-3);
  });
});
