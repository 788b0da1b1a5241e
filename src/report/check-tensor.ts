/** One tensor: its type, its shape, and that its value is where it should be and as much as the shape takes. Pure. */

import { DType, type DTypeCode, dtypeInfo, dtypeLabel, elementCount } from '../dtypes.ts';
import { FormatError } from '../errors.ts';
import { checkTensorBytes } from '../model/tensor.ts';
import { EXTERNAL } from '../proto/headers.ts';
import { longToNumber } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Payload } from '../proto/skeleton.ts';
import type { FindingCode, Findings, Place, Severity } from './findings.ts';
import { entryCount, filledFields, onnxName, typedFieldOf } from './tensor-values.ts';

/** TensorProto.DataType.UNDEFINED */
export const UNDEFINED: DTypeCode = 0;

/** A tensor whose type and shape can be. */
export interface ShapedTensor {
  readonly dtype: DTypeCode;
  readonly dims: readonly number[];
  readonly isExternal: boolean;
}

/** Kinds of findings by the code of the error that the rooms below throw for them. */
const CODES: { readonly [code: string]: FindingCode } = {
  ERR_NOT_FOUND: 'external-missing',
  ERR_PATH_ESCAPE: 'external-path',
  ERR_EXTERNAL_BOUNDS: 'external-bounds',
  ERR_EXTERNAL_DATA: 'external-reference',
  ERR_TENSOR: 'tensor-bytes',
  ERR_LIMIT: 'tensor-shape',
};

/**
 * Runs a check of a room below, where the tensor is called `""`. What it throws is a finding, and undefined comes back.
 * @param groupOf what findings must have in common to be one
 */
export function findingOf<Result>(
  findings: Findings,
  where: Place,
  check: () => Result,
  group?: string,
): Result | undefined {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const message = error.message.replace(/tensor "":? /, '');
    findings.add('error', CODES[error.code] ?? 'tensor-bytes', where, message, group);
    return undefined;
  }
}

/** The dimensions of a message as numbers. Throws a FormatError for one that is not from 0 to 2^53-1. */
export function dimsOf(dims: onnx.ITensorProto['dims']): number[] {
  const numbers = (dims ?? []).map((dim) => longToNumber(dim, 'a dimension'));
  elementCount(numbers, 'the tensor');
  return numbers;
}

/** Checks type and shape; undefined, with a finding, when there is no use in looking further. */
function shapeOf(
  tensor: onnx.ITensorProto,
  where: Place,
  findings: Findings,
): ShapedTensor | undefined {
  const dtype = tensor.dataType ?? UNDEFINED;
  if (dtype === UNDEFINED) findings.add('error', 'tensor-type', where, 'has no element type');
  else if (dtypeInfo(dtype) === undefined) {
    const message = `is of ${dtypeLabel(dtype)}, which is not known to this version`;
    findings.add('warning', 'tensor-type', where, message, String(dtype));
  }
  const dims = findingOf(findings, where, () => dimsOf(tensor.dims));
  if (dims === undefined || dtype === UNDEFINED) return undefined;
  return { dtype, dims, isExternal: tensor.dataLocation === EXTERNAL };
}

/** Checks a value that is in the message, or was left out of it. Returns whether it is what the shape takes. */
function checkValue(
  { dtype, dims }: ShapedTensor,
  filled: ReturnType<typeof filledFields>,
  where: Place,
  findings: Findings,
): boolean {
  const report = (severity: Severity, code: FindingCode, message: string) =>
    findings.add(severity, code, where, message);
  const shape = () => `shape [${dims.join(', ')}]`;
  const elements = elementCount(dims, 'the tensor');
  const [value] = filled;
  if (value === undefined) {
    if (elements > 0) report('error', 'tensor-bytes', `${shape()} needs a value, there is none`);
    return elements === 0;
  }
  if (filled.length > 1) {
    const fields = filled.map(({ field }) => onnxName(field)).join(' and ');
    report('warning', 'tensor-fields', `has values in ${fields}; ${onnxName(value.field)} counts`);
  }
  if (value.field === 'rawData') {
    if (dtype === DType.STRING) report('error', 'tensor-fields', 'has strings in raw_data');
    const isWhole = findingOf(findings, where, () => {
      checkTensorBytes('', dtype, dims, value.count);
      return true;
    });
    return isWhole === true && dtype !== DType.STRING;
  }
  const expected = typedFieldOf(dtype);
  if (expected === undefined) return false;
  if (value.field !== expected) {
    const message = `is ${dtypeLabel(dtype)} in ${onnxName(value.field)}, not in ${onnxName(expected)} or raw_data`;
    report('error', 'tensor-fields', message);
    return false;
  }
  const entries = entryCount(dtype, elements);
  if (value.count === entries) return true;
  const message = `${shape()} of ${dtypeLabel(dtype)} needs ${entries} entries in ${onnxName(expected)}, there are ${value.count}`;
  report('error', 'tensor-bytes', message);
  return false;
}

/**
 * Checks a decoded tensor; external data is left to the caller. Returns its type and shape, or undefined where they
 * cannot be, or the value is not what they ask for.
 * @param payload what of the tensor is still in the `.onnx`
 */
export function checkTensor(
  tensor: onnx.ITensorProto,
  payload: Payload | undefined,
  where: Place,
  findings: Findings,
): ShapedTensor | undefined {
  if (tensor.segment) {
    findings.add('warning', 'tensor-fields', where, 'is a segment of a tensor, which nobody reads');
  }
  const shaped = shapeOf(tensor, where, findings);
  if (shaped === undefined) return undefined;
  const filled = filledFields(tensor, payload);
  if (!shaped.isExternal) {
    return checkValue(shaped, filled, where, findings) ? shaped : undefined;
  }
  if (filled.length > 0) {
    const message = `is external data and has a value in the .onnx as well`;
    findings.add('warning', 'tensor-fields', where, message);
  }
  return shaped;
}
