/** Models with very many small initializers, written without holding them. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { field, floats, intField } from '../proto/wire-builder.ts';

const INPUTS = 100;

/** Initializers made at a time. */
const AT_ONCE = 10_000;

/** Bytes of a length varint. */
function lengthBytes(length: number): number[] {
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0));
  }
  return bytes;
}

/** Nodes of a hundred inputs that add up the values, the values, a multiple of a hundred, and the graph's output. */
function* graphPieces(count: number, dims: readonly number[]): Generator<Buffer> {
  const sums: Buffer[] = [];
  for (let first = 0; first < count; first += INPUTS) {
    const inputs = Array.from({ length: INPUTS }, (_, index) =>
      field(1, `weight_${first + index}`),
    );
    const output = field(2, `sum_${first}`);
    yield Buffer.from(field(1, [...inputs.flat(), ...output, ...field(4, 'Sum')]));
    sums.push(Buffer.from(field(1, `sum_${first}`)));
  }
  const last = Buffer.concat([...sums, Buffer.from([...field(2, 'y'), ...field(4, 'Sum')])]);
  yield Buffer.concat([Buffer.from([0x0a, ...lengthBytes(last.length)]), last]);
  const shape = dims.flatMap((dim) => intField(1, dim));
  for (let first = 0; first < count; first += AT_ONCE) {
    const length = Math.min(AT_ONCE, count - first);
    const tensors = Array.from({ length }, (_, index) => {
      const name = field(8, `weight_${first + index}`);
      const content = [...shape, ...intField(2, 1), ...name, ...field(9, floats(first + index))];
      return Buffer.from(field(5, content));
    });
    yield Buffer.concat(tensors);
  }
  const type = field(1, [...intField(1, 1), ...field(2, [])]);
  yield Buffer.from(field(12, [...field(1, 'y'), ...field(2, type)]));
}

/** Writes, as a canonical writer would, a model of `count` values, each a single float of the shape given; by default a scalar. */
export function writeManyInitializers(
  path: string,
  count: number,
  dims: readonly number[] = [],
): void {
  let byteLength = 0;
  for (const piece of graphPieces(count, dims)) byteLength += piece.length;
  const head = [...intField(1, 9), 0x3a, ...lengthBytes(byteLength)];
  const fd = openSync(path, 'w');
  writeSync(fd, Uint8Array.from(head));
  for (const piece of graphPieces(count, dims)) writeSync(fd, piece);
  writeSync(fd, Uint8Array.from(field(8, intField(2, 18))));
  closeSync(fd);
}
