/**
 * Names and order of a graph and of the graphs inside it: every name is defined once and before it is read, and no
 * node needs itself. Works on the numbers of names, so that a large graph costs a few bytes a name. Pure.
 */

import { quoted } from '../external-data/reference.ts';
import { isPlainNode } from '../proto/deferred.ts';
import type { NodeTape } from '../proto/headers.ts';
import { NO_NAME } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.ts';
import { defineAll, entryIds } from './check-definitions.ts';
import { checkNode, type NodeScope } from './check-node.ts';
import { checkOrder } from './check-order.ts';
import { checkAnnotations, checkInterface, checkMetadata } from './check-values.ts';
import type { WireCheck } from './check-wire.ts';
import { type Findings, innerPlace, type Place } from './findings.ts';
import type { Frame, FrameKind, GraphContext } from './graph-frame.ts';
import { DefinedBy, NameScopes } from './name-scopes.ts';
import { NodeNames } from './node-names.ts';

/** Checks graphs one after the other. Memory: 8 bytes a name, the names of nodes as numbers. */
export class GraphCheck {
  /** Graphs and nodes that were checked; bodies of functions are graphs. */
  readonly counts = { graphs: 0, nodes: 0 };
  readonly #context: GraphContext;
  readonly #frames: Frame[] = [];

  constructor(findings: Findings, wire: WireCheck, tape: NodeTape) {
    const names = new NodeNames(tape);
    const scopes = new NameScopes(tape.names.size);
    this.#context = { findings, wire, tape, names, scopes };
  }

  /** Checks a graph or the body of a function, and everything inside. */
  check(
    proto: onnx.IGraphProto | onnx.IFunctionProto,
    kind: FrameKind,
    place: Place,
    scope: NodeScope,
  ): void {
    const { findings, scopes, wire } = this.#context;
    const frame: Frame = {
      scope,
      kind,
      place,
      nodes: proto.node ?? [],
      current: 0,
      captured: new Map(),
      late: [],
    };
    this.counts.graphs++;
    wire.look(proto, place);
    checkMetadata(proto.metadataProps, place, findings);
    this.#frames.push(frame);
    scopes.open();
    this.#interface(proto, frame);
    defineAll(proto, frame, this.#context);
    for (const [index, node] of frame.nodes.entries()) {
      frame.current = index;
      this.#node(node, frame);
    }
    this.#outputs(proto, frame);
    this.#descriptions(proto, frame);
    checkOrder(frame, this.#context);
    scopes.close();
    this.#frames.pop();
  }

  /** Nodes outside of all scopes: those of training information, which shares names with the main graph. */
  checkNodesAlone(nodes: readonly onnx.INodeProto[], place: Place, scope: NodeScope): void {
    for (const node of nodes) this.#alone(node, place, scope);
  }

  #alone(node: onnx.INodeProto, place: Place, scope: NodeScope): Place {
    const { findings, names, wire } = this.#context;
    const where = { ...place, node: names.label(node) };
    this.counts.nodes++;
    const seen = wire.look(node, where);
    if (seen !== undefined) checkNode(seen, scope, where, findings);
    return where;
  }

  #node(node: onnx.INodeProto, frame: Frame): void {
    const where = this.#alone(node, frame.place, frame.scope);
    for (const id of this.#context.names.inputs(node)) {
      if (id !== NO_NAME) this.#read(id, where);
    }
    if (isPlainNode(node)) return;
    for (const { name, g, graphs } of node.attribute ?? []) {
      for (const inner of [...(g ? [g] : []), ...(graphs ?? [])]) {
        const place = innerPlace(frame.place, where.node ?? '', name ?? '');
        this.check(inner, 'inner', place, frame.scope);
      }
    }
  }

  #read(id: number, where: Place): void {
    const { findings, scopes, tape } = this.#context;
    const depth = scopes.depthOf(id);
    if (depth === 0) {
      const message = `reads ${quoted(tape.names.peek(id))}, which nothing defines`;
      findings.add('error', 'name-undefined', where, message);
      return;
    }
    const definer = scopes.definerOf(id);
    if (definer < 0) return;
    const owner = this.#frames[depth - 1] as Frame;
    const reader = owner.current;
    if (depth < scopes.depth) {
      const sources = owner.captured.get(reader) ?? [];
      if (sources.length === 0) owner.captured.set(reader, sources);
      sources.push(definer);
    }
    if (definer >= reader) owner.late.push({ reader, id });
  }

  #interface(proto: onnx.IGraphProto | onnx.IFunctionProto, frame: Frame): void {
    const { findings, wire } = this.#context;
    for (const side of ['input', 'output'] as const) {
      for (const info of proto[side] ?? []) {
        if (typeof info === 'string') continue;
        const name = wire.nameOf(info, frame.place);
        if (name === undefined) continue;
        const where = { ...frame.place, value: name };
        const seen = wire.look(info, where);
        if (seen === undefined) continue;
        if (frame.kind === 'main') checkInterface(seen, side, where, findings);
        checkMetadata(seen.metadataProps, where, findings);
      }
    }
  }

  #outputs(proto: onnx.IGraphProto | onnx.IFunctionProto, frame: Frame): void {
    const { findings, scopes, tape } = this.#context;
    if (!proto.output?.length && frame.kind === 'main') {
      findings.add('error', 'graph-outputs', frame.place, 'the graph has no outputs');
    }
    const listed = new Set<number>();
    for (const id of entryIds(proto.output, this.#context)) {
      const where = { ...frame.place, value: tape.names.peek(id) };
      const report = (severity: 'error' | 'warning', message: string) =>
        findings.add(severity, 'graph-outputs', where, message);
      const depth = scopes.depthOf(id);
      if (id === NO_NAME) findings.add('error', 'name-empty', frame.place, 'an output has no name');
      else if (depth === 0) report('error', 'is an output, but nothing defines it');
      else if (depth < scopes.depth) {
        // Refused by ONNX Runtime, which asks for an Identity in between.
        report('error', 'is an output, but a value of an outer graph');
      } else if (frame.kind === 'function' && scopes.definerOf(id) === DefinedBy.INPUT) {
        findings.add(
          'error',
          'function-output',
          where,
          'is an output and an input of the function',
        );
      }
      if (id !== NO_NAME && listed.has(id)) report('warning', 'is listed twice as an output');
      listed.add(id);
    }
  }

  #descriptions(proto: onnx.IGraphProto | onnx.IFunctionProto, frame: Frame): void {
    const { findings, scopes, tape, wire } = this.#context;
    const { place } = frame;
    const described = new Set<number>();
    for (const info of proto.valueInfo ?? []) {
      const name = wire.nameOf(info, place);
      if (name === undefined) continue;
      const where = { ...place, value: name };
      const seen = wire.look(info, where);
      if (seen !== undefined) checkMetadata(seen.metadataProps, where, findings);
      const id = tape.names.find(name) ?? NO_NAME;
      if (scopes.depthOf(id) < scopes.depth) {
        const message = 'has an entry in value_info, but is no value of this graph';
        findings.add('note', 'value-info', where, message, place.graph ?? '');
      } else if (described.has(id)) {
        findings.add('warning', 'value-info', where, 'has two entries in value_info');
      }
      described.add(id);
    }
    if (!('quantizationAnnotation' in proto)) return;
    const isDefined = (name: string) => scopes.depthOf(tape.names.find(name) ?? NO_NAME) > 0;
    checkAnnotations(proto.quantizationAnnotation ?? [], isDefined, place, findings);
  }
}
