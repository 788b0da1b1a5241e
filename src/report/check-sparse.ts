/** Sparse tensors: as many indices as values, of the rank of the shape, within it. Pure. */

import { DType, dtypeLabel, elementCount } from '../dtypes.ts';
import { longToBigInt } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import { dimsOf, findingOf, UNDEFINED } from './check-tensor.ts';
import type { Findings, Place, Severity } from './findings.ts';

/** The indices of a sparse tensor that are at hand. */
function indicesOf({ int64Data, rawData }: onnx.ITensorProto): bigint[] {
  if (int64Data?.length) return int64Data.map(longToBigInt);
  if (!rawData || rawData.byteLength % 8 !== 0) return [];
  const bytes = Buffer.from(rawData);
  return Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readBigInt64LE(8 * i));
}

/**
 * Checks that the decoded parts of a sparse tensor fit together. Each is checked as a tensor besides.
 * @param isInMemory false when the indices are external or left in the file
 */
export function checkSparse(
  { values, indices, dims }: onnx.ISparseTensorProto,
  isInitializer: boolean,
  isInMemory: boolean,
  where: Place,
  findings: Findings,
): void {
  const report = (severity: Severity, message: string) =>
    findings.add(severity, 'tensor-sparse', where, message);
  if (!values || !indices) {
    report('error', `has no ${values ? 'indices' : 'values'}`);
    return;
  }
  if (isInitializer && !values.name) report('error', 'has no name, which is that of its values');
  const shape = findingOf(findings, where, () => dimsOf(dims));
  const count = findingOf(findings, where, () => elementCount(dimsOf(values.dims), 'the values'));
  const places = findingOf(findings, where, () => dimsOf(indices.dims));
  if (shape === undefined || count === undefined || places === undefined) return;
  const elements = elementCount(shape, 'the tensor');
  if (shape.length === 0) {
    report('error', 'has no shape');
    return;
  }
  if (count > elements) report('warning', `has ${count} values for ${elements} elements`);
  if (indices.dataType !== DType.INT64) {
    report('warning', `has indices of ${dtypeLabel(indices.dataType ?? UNDEFINED)}, not int64`);
  }
  const [rows, columns] = places;
  const isFit = rows === count && (places.length === 1 || columns === shape.length);
  if (!isFit || places.length > 2) {
    const message = `has indices of shape [${places.join(', ')}] for ${count} values of rank ${shape.length}`;
    report('error', message);
  } else if (places.length === 1 && isInMemory) {
    const beyond = indicesOf(indices).find((index) => index < 0n || index >= BigInt(elements));
    if (beyond !== undefined) report('error', `has index ${beyond} of ${elements} elements`);
  }
}
