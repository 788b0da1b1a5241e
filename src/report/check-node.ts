/** One node by itself: its operator, its attributes, and that it gives something. Pure. */

import { plainDomain } from '../model/node.ts';
import type { onnx } from '../proto/onnx.ts';
import { checkAttributes } from './check-attributes.ts';
import type { FunctionTable } from './check-functions.ts';
import type { Imports } from './check-imports.ts';
import { checkMetadata } from './check-values.ts';
import type { Findings, Place } from './findings.ts';

/** What the graph around a node has to do with it. */
export interface NodeScope {
  readonly imports: Imports;
  readonly functions: FunctionTable;
  /** Index of the function that the node is part of. */
  readonly caller: number | undefined;
}

/** Checks a decoded node without its names. */
export function checkNode(
  node: onnx.INodeProto,
  { imports, functions, caller }: NodeScope,
  where: Place,
  findings: Findings,
): void {
  const domain = plainDomain(node.domain);
  const opType = node.opType ?? '';
  const outputs = node.output ?? [];
  if (opType === '') findings.add('error', 'node-operator', where, 'has no operator');
  if (!outputs.some((output) => output !== '')) {
    // Every operator of the standard has an output; one of somebody else's may be there for what it does.
    const severity = domain === '' ? 'error' : 'warning';
    findings.add(severity, 'node-outputs', where, 'has no output');
  }
  imports.check(domain, where);
  const overload = node.overload ?? '';
  const inputs = node.input?.length ?? 0;
  functions.check({ domain, opType, overload, inputs, outputs: outputs.length }, caller, where);
  checkAttributes(node.attribute ?? [], caller !== undefined, where, findings);
  checkMetadata(node.metadataProps, where, findings);
}
