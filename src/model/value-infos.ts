/** What a file states about the types and shapes of the values of one graph. Pure. */

import { infoName } from '../proto/deferred.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Graph } from './graph.ts';
import type { Value } from './value.ts';

/**
 * Entries of `input`, `output` and `value_info` by the value they describe. Entries go with their values when those
 * are renamed or removed, so this is made before the first such edit.
 */
export class ValueInfos {
  readonly byValue = new Map<Value, onnx.IValueInfoProto>();
  /** Entries of `value_info` that name no value of this scope: captured values, or leftovers of an exporter. */
  readonly foreign = new Set<onnx.IValueInfoProto>();

  constructor(graph: Graph) {
    const { proto } = graph;
    const add = (value: Value, info: onnx.IValueInfoProto | string) => {
      if (typeof info !== 'string' && !this.byValue.has(value)) this.byValue.set(value, info);
    };
    proto.input?.forEach((info, index) => {
      const value = graph.inputs[index];
      if (value !== undefined) add(value, info);
    });
    for (const info of proto.valueInfo ?? []) {
      const value = graph.values.get(infoName(info));
      if (value === undefined) this.foreign.add(info);
      else add(value, info);
    }
    proto.output?.forEach((info, index) => {
      const value = graph.outputs[index];
      // The entry of a body that hands on a value from outside describes it there, not where it comes from.
      if (value?.graph === graph) add(value, info);
    });
  }
}
