/** Which version of the ONNX operators the nodes of a graph are of. Pure. */

import { longToNumber } from '../proto/int64.ts';
import type { Graph } from './graph.ts';
import type { Model } from './model.ts';
import { plainDomain } from './node.ts';

/** The imported version of ai.onnx; functions import their own. 0 when there is none. */
export function onnxOpset(model: Model, graph: Graph): number {
  const body = graph.function;
  if (body === undefined) return model.opsetVersion('') ?? 0;
  const entry = body.opsetImport?.find(({ domain }) => plainDomain(domain) === '');
  return longToNumber(entry?.version, 'an opset version');
}
