/** Nodes that read what is defined further down: out of order, or needing themselves. Pure. */

import { quoted } from '../external-data/reference.ts';
import { findCycles } from '../model/cycles.ts';
import type { onnx } from '../proto/onnx.ts';
import type { Frame, GraphContext } from './graph-frame.ts';

/** Nodes that a message names of a cycle. */
const SHOWN_NODES = 8;

/** Reports the late reads of a graph; its scope is still open. */
export function checkOrder(frame: Frame, { findings, names, scopes, tape }: GraphContext): void {
  const { nodes, captured, late, place } = frame;
  if (late.length === 0) return;
  const label = (index: number) => names.label(nodes[index] as onnx.INodeProto);
  const sources = (index: number) => {
    const definers = names
      .inputs(nodes[index] as onnx.INodeProto)
      .filter((id) => scopes.depthOf(id) === scopes.depth)
      .map((id) => scopes.definerOf(id))
      .filter((definer) => definer >= 0);
    return [...definers, ...(captured.get(index) ?? [])];
  };
  const cycles = findCycles(nodes.length, sources);
  for (const path of cycles.paths) {
    const [first = 0] = path;
    const shown = path.slice(0, SHOWN_NODES).map((index) => quoted(label(index)));
    const more = path.length > SHOWN_NODES ? ['…'] : [];
    const ring = [...shown, ...more, shown[0]].join(' ← ');
    const message =
      path.length === 1
        ? 'reads its own output'
        : `needs itself: a cycle of ${path.length}, ${ring}`;
    findings.add('error', 'node-cycle', { ...place, node: label(first) }, message);
  }
  for (const { reader, id } of late) {
    const definer = scopes.definerOf(id);
    if (cycles.isSame(reader, definer)) continue;
    // ONNX Runtime sorts the main graph, and that alone.
    const severity = frame.kind === 'main' ? 'warning' : 'error';
    const message = `reads ${quoted(tape.names.peek(id))} before node ${quoted(label(definer))} defines it`;
    findings.add(severity, 'node-order', { ...place, node: label(reader) }, message);
  }
}
