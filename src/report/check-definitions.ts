/** What a graph defines: each name once, none that an outer graph has. Pure. */

import { quoted } from '../external-data/reference.ts';
import { tensorName, tensorNameId } from '../proto/deferred.ts';
import { NO_NAME } from '../proto/name-table.ts';
import type { onnx } from '../proto/onnx.ts';
import { checkDefault } from './check-values.ts';
import { nameIfWhole, peekIfWhole } from './check-wire.ts';
import type { Frame, GraphContext } from './graph-frame.ts';
import { DefinedBy, type Definer } from './name-scopes.ts';

/** Numbers of the names of `input` or `output`, damaged entries left out. Of functions they are names alone. */
export function entryIds(
  entries: readonly (onnx.IValueInfoProto | string)[] | null | undefined,
  { tape }: GraphContext,
): number[] {
  return (entries ?? []).flatMap((entry) => {
    const name = typeof entry === 'string' ? entry : nameIfWhole(entry);
    return name === undefined ? [] : [tape.names.internText(name)];
  });
}

function definerText(frame: Frame, definer: Definer, { names }: GraphContext): string {
  if (definer === DefinedBy.INPUT) return 'an input';
  if (definer === DefinedBy.INITIALIZER) return 'an initializer';
  if (definer === DefinedBy.SPARSE) return 'a sparse initializer';
  return `node ${quoted(names.label(frame.nodes[definer] as onnx.INodeProto))}`;
}

function reportNameless(frame: Frame, definer: Definer, context: GraphContext): void {
  // A runtime can neither be given nor asked for a value without a name.
  const severity = definer === DefinedBy.INPUT ? 'error' : 'warning';
  const message = `${definerText(frame, definer, context)} has no name`;
  context.findings.add(severity, 'name-empty', frame.place, message);
}

function define(frame: Frame, id: number, definer: Definer, context: GraphContext): void {
  const { findings, scopes, tape } = context;
  if (id === NO_NAME) {
    reportNameless(frame, definer, context);
    return;
  }
  const meeting = scopes.define(id, definer);
  if (meeting === 'new') return;
  const where = { ...frame.place, value: tape.names.peek(id) };
  if (meeting === 'shadows') {
    // Inputs of a body are bound when it runs; a node's output would be defined twice.
    const severity = definer >= 0 ? 'error' : 'warning';
    const message = `${definerText(frame, definer, context)} has the name of a value outside`;
    findings.add(severity, 'name-shadowed', where, message);
    return;
  }
  const [first, second] = [scopes.definerOf(id), definer].map((one) => {
    return definerText(frame, one, context);
  });
  const message = first === second ? `both times by ${first}` : `by ${first} and ${second}`;
  findings.add('error', 'name-duplicate', where, `is defined twice, ${message}`);
}

function defineNodes(frame: Frame, context: GraphContext): void {
  const { findings, names, tape } = context;
  const nodeNames = new Set<number>();
  frame.nodes.forEach((node, index) => {
    for (const id of names.outputs(node)) {
      if (id !== NO_NAME) define(frame, id, index, context);
    }
    const name = names.nameId(node);
    if (name !== NO_NAME && nodeNames.has(name)) {
      const where = { ...frame.place, node: tape.names.peek(name) };
      findings.add('error', 'name-duplicate', where, 'another node has the same name');
    }
    nodeNames.add(name);
  });
}

/** The initializers; one with the name of an input is the value which that input has by default. */
function defineInitializers(proto: onnx.IGraphProto, frame: Frame, context: GraphContext): void {
  const { findings, scopes, tape } = context;
  const inputs = new Map<number, onnx.IValueInfoProto>();
  for (const info of proto.input ?? []) {
    for (const id of entryIds([info], context)) inputs.set(id, info);
  }
  for (const tensor of proto.initializer ?? []) {
    const id = tensorNameId(tensor, tape);
    const input = inputs.get(id);
    if (input === undefined || scopes.definerOf(id) !== DefinedBy.INPUT) {
      define(frame, id, DefinedBy.INITIALIZER, context);
      continue;
    }
    scopes.redefine(id, DefinedBy.INITIALIZER);
    const where = { ...frame.place, value: tape.names.peek(id) };
    const [info, value] = [peekIfWhole(input), peekIfWhole(tensor)];
    if (info && value) checkDefault(info, value, where, findings);
  }
}

/** Defines everything that a graph defines in the innermost scope, and reports what is defined already. */
export function defineAll(
  proto: onnx.IGraphProto | onnx.IFunctionProto,
  frame: Frame,
  context: GraphContext,
): void {
  for (const id of entryIds(proto.input, context)) define(frame, id, DefinedBy.INPUT, context);
  if ('initializer' in proto) {
    defineInitializers(proto, frame, context);
    for (const { values } of proto.sparseInitializer ?? []) {
      // That one has no name is said where its parts are checked.
      if (values && tensorName(values) !== '')
        define(frame, tensorNameId(values, context.tape), DefinedBy.SPARSE, context);
    }
  }
  defineNodes(frame, context);
}
