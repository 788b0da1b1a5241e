/** Models whose tensors lie in data files as a test wants them: apart, shared, overlapping, with dead bytes. */

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { onnx } from '../../src/proto/onnx.ts';

/** What is in data files where no tensor lies: not zero, so that it is seen where it does not belong. */
const DEAD = 0xee;

type Place = readonly [location: string, byteOffset: number];

function entry(tensor: onnx.ITensorProto, key: string): string {
  return tensor.externalData?.find((item) => item.key === key)?.value ?? '';
}

/** Makes `tensor` refer to a range. */
export function refer(
  tensor: onnx.ITensorProto,
  [location, byteOffset]: Place,
  byteLength: number,
): void {
  tensor.dataLocation = 1;
  tensor.externalData = [
    { key: 'location', value: location },
    { key: 'offset', value: String(byteOffset) },
    { key: 'length', value: String(byteLength) },
  ];
}

/** Grows `bytes` to `byteLength` with dead bytes. */
export function padDead(bytes: Uint8Array, byteLength: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(Math.max(0, byteLength - bytes.byteLength), DEAD)]);
}

/**
 * Moves the external initializers of the model at `path` to where `placeOf` says and writes the data files anew, with
 * `trailing` dead bytes at their ends. Ranges may overlap when their bytes agree.
 */
export function scatter(path: string, placeOf: (name: string) => Place, trailing = 0): void {
  const directory = dirname(path);
  const model = onnx.ModelProto.decode(readFileSync(path));
  const files = new Map<string, Buffer>();
  for (const tensor of model.graph?.initializer ?? []) {
    if (tensor.dataLocation !== 1) continue;
    const start = Number(entry(tensor, 'offset'));
    const length = Number(entry(tensor, 'length'));
    const bytes = readFileSync(join(directory, entry(tensor, 'location'))).subarray(
      start,
      start + length,
    );
    const [location, byteOffset] = placeOf(tensor.name ?? '');
    const file = padDead(files.get(location) ?? Buffer.alloc(0), byteOffset + length);
    file.set(bytes, byteOffset);
    files.set(location, file);
    refer(tensor, [location, byteOffset], length);
  }
  for (const [location, bytes] of files) {
    writeFileSync(join(directory, location), padDead(bytes, bytes.byteLength + trailing));
  }
  writeFileSync(path, onnx.ModelProto.encode(model).finish());
}
