/** Everything of a model but its tensors: versions, imports, functions, graphs. Pure. */

import type { NodeTape } from '../proto/headers.ts';
import { longToBigInt } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import { checkAttributes } from './check-attributes.ts';
import { FunctionTable, functionLabel } from './check-functions.ts';
import { GraphCheck } from './check-graph.ts';
import { Imports } from './check-imports.ts';
import { checkMetadata } from './check-values.ts';
import type { WireCheck } from './check-wire.ts';
import type { Findings } from './findings.ts';

/** The newest IR version whose fields this version knows. */
const NEWEST_IR = 14n;

function checkIrVersion(model: onnx.IModelProto, findings: Findings): void {
  const version = longToBigInt(model.irVersion);
  const report = (severity: 'error' | 'warning', message: string) =>
    findings.add(severity, 'ir-version', {}, message);
  if (!Object.hasOwn(model, 'irVersion')) report('error', 'the model has no ir_version');
  else if (version < 1n) report('warning', `ir_version is ${version}`);
  else if (version > NEWEST_IR) {
    report(
      'warning',
      `ir_version is ${version}, newer than ${NEWEST_IR}, which runtimes may refuse`,
    );
  }
}

/** What was looked at. */
export interface StructureCounts {
  readonly graphs: number;
  readonly functions: number;
  readonly nodes: number;
}

/** Checks the structure of a model that has a graph. Memory: 8 bytes a name, and the names of a graph's nodes as numbers. */
export function checkStructure(
  model: onnx.IModelProto & { readonly graph: onnx.IGraphProto },
  tape: NodeTape,
  wire: WireCheck,
  findings: Findings,
): StructureCounts {
  wire.look(model, {});
  checkIrVersion(model, findings);
  checkMetadata(model.metadataProps, {}, findings);
  const bodies = model.functions ?? [];
  const functions = new FunctionTable(bodies, findings);
  const imports = new Imports(model.opsetImport ?? [], {}, findings);
  const graphs = new GraphCheck(findings, wire, tape);
  const scope = { imports, functions, caller: undefined };
  graphs.check(model.graph, 'main', {}, scope);
  for (const [caller, body] of bodies.entries()) {
    const place = { graph: functionLabel(body) };
    const own = new Imports(body.opsetImport ?? [], place, findings);
    graphs.check(body, 'function', place, { imports: own, functions, caller });
    checkAttributes(body.attributeProto ?? [], true, place, findings);
  }
  functions.checkRecursion();
  for (const { initialization, algorithm } of model.trainingInfo ?? []) {
    graphs.checkNodesAlone(initialization?.node ?? [], { graph: 'initialization' }, scope);
    graphs.checkNodesAlone(algorithm?.node ?? [], { graph: 'training algorithm' }, scope);
  }
  return { ...graphs.counts, functions: bodies.length };
}
