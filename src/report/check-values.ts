/** What a file says of values besides defining them: types, annotations, metadata. Pure. */

import { dtypeLabel } from '../dtypes.ts';
import { quoted } from '../external-data/reference.ts';
import { longToBigInt } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Findings, Place } from './findings.ts';

/** Reports keys that are there more than once. */
export function checkMetadata(
  entries: readonly onnx.IStringStringEntryProto[] | null | undefined,
  where: Place,
  findings: Findings,
): void {
  if (entries === null || entries === undefined || entries.length < 2) return;
  const keys = new Set<string>();
  for (const { key } of entries) {
    if (keys.has(key ?? '')) {
      findings.add('warning', 'metadata', where, `metadata has ${quoted(key ?? '')} twice`);
    }
    keys.add(key ?? '');
  }
}

/** Whether a type says what a value is made of, all the way down. */
function isComplete(type: onnx.ITypeProto | null | undefined): boolean {
  if (!type) return false;
  const { tensorType, sparseTensorType, sequenceType, optionalType, mapType, opaqueType } = type;
  const tensor = tensorType ?? sparseTensorType;
  if (tensor) return (tensor.elemType ?? 0) !== 0;
  if (sequenceType) return isComplete(sequenceType.elemType);
  if (optionalType) return isComplete(optionalType.elemType);
  if (mapType) return (mapType.keyType ?? 0) !== 0 && isComplete(mapType.valueType);
  return Boolean(opaqueType);
}

/** Checks the entry of an input or output of the main graph: a caller must know what to give. */
export function checkInterface(
  info: onnx.IValueInfoProto,
  side: 'input' | 'output',
  where: Place,
  findings: Findings,
): void {
  if (!info.type) {
    // Of outputs the type follows from the nodes.
    const severity = side === 'input' ? 'error' : 'warning';
    findings.add(severity, 'graph-type', where, `the ${side} has no type`);
  } else if (!isComplete(info.type)) {
    findings.add('error', 'graph-type', where, `the ${side} has a type without element type`);
  }
}

/** Checks that the default of an input is of the type and shape that the input states. */
export function checkDefault(
  { type }: onnx.IValueInfoProto,
  tensor: onnx.ITensorProto,
  where: Place,
  findings: Findings,
): void {
  const stated = type?.tensorType;
  if (!stated) return;
  const report = (message: string) => findings.add('error', 'graph-type', where, message);
  const [dtype, own] = [stated.elemType ?? 0, tensor.dataType ?? 0];
  if (dtype !== own) {
    report(`the input is ${dtypeLabel(dtype)}, its initializer ${dtypeLabel(own)}`);
    return;
  }
  const dims = (tensor.dims ?? []).map(longToBigInt);
  // A dimension that is a symbol, or nothing, takes any size.
  const shape = stated.shape?.dim?.map(({ dimValue }) =>
    dimValue === null || dimValue === undefined ? undefined : longToBigInt(dimValue),
  );
  if (shape === undefined) return;
  const isFit =
    shape.length === dims.length &&
    shape.every((size, index) => size === undefined || size === dims[index]);
  if (isFit) return;
  const text = shape.map((size) => size ?? '?').join(', ');
  report(`the input has shape [${text}], its initializer [${dims.join(', ')}]`);
}

/** Reports annotations of values that `isDefined` does not know. */
export function checkAnnotations(
  annotations: readonly onnx.ITensorAnnotation[],
  isDefined: (name: string) => boolean,
  graph: Place,
  findings: Findings,
): void {
  for (const { tensorName, quantParameterTensorNames } of annotations) {
    const where = { ...graph, value: tensorName ?? '' };
    if (!isDefined(tensorName ?? '')) {
      const message = 'has a quantization annotation, but nothing defines it';
      findings.add('warning', 'annotation', where, message);
    }
    for (const { key, value } of quantParameterTensorNames ?? []) {
      if (isDefined(value ?? '')) continue;
      const message = `its ${quoted(key ?? '')} is ${quoted(value ?? '')}, which nothing defines`;
      findings.add('warning', 'annotation', where, message);
    }
  }
}
