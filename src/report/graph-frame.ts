/** What the checks of a graph have in common. */

import type { NodeTape } from '../proto/headers.ts';
import type { onnx } from '../proto/onnx.ts';
import type { NodeScope } from './check-node.ts';
import type { WireCheck } from './check-wire.ts';
import type { Findings, Place } from './findings.ts';
import type { NameScopes } from './name-scopes.ts';
import type { NodeNames } from './node-names.ts';

/** The main graph, a graph inside a node (of an If, a Loop, a Scan), or the body of a function. */
export type FrameKind = 'main' | 'inner' | 'function';

/** A graph that is being checked. */
export interface Frame {
  readonly scope: NodeScope;
  readonly kind: FrameKind;
  readonly place: Place;
  readonly nodes: readonly onnx.INodeProto[];
  /** The node whose inputs are being read. */
  current: number;
  /** By node: the nodes that its inner graphs read from. */
  readonly captured: Map<number, number[]>;
  /** Reads of what the same node or a later one defines. */
  readonly late: LateRead[];
}

/** A name that is read before it is defined. */
export interface LateRead {
  /** The node of the frame that reads it, itself or in an inner graph. */
  readonly reader: number;
  readonly id: number;
}

/** What all graphs of a model share while they are checked. */
export interface GraphContext {
  readonly findings: Findings;
  readonly wire: WireCheck;
  readonly tape: NodeTape;
  readonly names: NodeNames;
  readonly scopes: NameScopes;
}
