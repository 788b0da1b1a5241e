/** What of a model an IR version has to know. Source: the version history in onnx.proto of ONNX 1.23. Pure. */

import { dtypeLabel } from '../dtypes.ts';
import { messagesOf, nodeLabel } from '../model/messages.ts';
import type { Model } from '../model/model.ts';
import { syncModel } from '../model/sync.ts';
import { infoName, peek } from '../proto/deferred.ts';
import { longToNumber } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';

/** The newest version whose additions are known. */
export const NEWEST_IR = 14;

/** Something that came with an IR version, and who has it. */
export interface IrFeature {
  readonly version: number;
  /** What it is, for messages: `metadata_props`, `an element type int4`. */
  readonly what: string;
  /** Name of the first that has it. */
  readonly first: string;
  count: number;
}

/** Element types and the version they came with, for those that came later than IR 4. */
const ELEMENT_TYPES: ReadonlyMap<number, number> = new Map([
  ...[17, 18, 19, 20].map((type) => [type, 9] as const),
  ...[21, 22].map((type) => [type, 10] as const),
  [23, 11],
  [24, 12],
  ...[25, 26].map((type) => [type, 13] as const),
  ...[27, 28].map((type) => [type, 14] as const),
]);
const LAST_ELEMENT_TYPE = 28;

/** Attributes whose integer is an element type, of any operator. */
const TYPE_ATTRIBUTE = /^(to|dtype|stash_type)$|_(dtype|datatype)$|precision$/;

class Features {
  readonly found = new Map<string, IrFeature>();

  add(version: number, what: string, owner: string): void {
    const known = this.found.get(what);
    if (known === undefined) this.found.set(what, { version, what, first: owner, count: 1 });
    else known.count++;
  }

  /** Notes a list or text that is not empty. */
  addIf(
    content: { readonly length: number } | null | undefined,
    version: number,
    what: string,
    owner: string,
  ): void {
    if (content?.length) this.add(version, what, owner);
  }

  addElementType(type: number, owner: string): void {
    const version = type > LAST_ELEMENT_TYPE ? NEWEST_IR + 1 : ELEMENT_TYPES.get(type);
    if (version !== undefined) this.add(version, `the element type ${dtypeLabel(type)}`, owner);
  }

  addType(type: onnx.ITypeProto | null | undefined, owner: string): void {
    if (!type) return;
    this.addElementType(type.tensorType?.elemType ?? 0, owner);
    this.addElementType(type.sparseTensorType?.elemType ?? 0, owner);
    this.addElementType(type.mapType?.keyType ?? 0, owner);
    if (type.sparseTensorType) this.add(8, 'a sparse tensor type', owner);
    if (type.optionalType) this.add(8, 'an optional type', owner);
    this.addType(type.sequenceType?.elemType, owner);
    this.addType(type.optionalType?.elemType, owner);
    this.addType(type.mapType?.valueType, owner);
  }

  addAttribute(attribute: onnx.IAttributeProto, owner: string): void {
    if (attribute.sparseTensor) this.add(6, 'a sparse tensor', owner);
    this.addIf(attribute.sparseTensors, 6, 'a sparse tensor', owner);
    if (attribute.tp) this.add(8, 'a type as attribute', owner);
    this.addIf(attribute.typeProtos, 8, 'a type as attribute', owner);
    for (const type of [attribute.tp, ...(attribute.typeProtos ?? [])]) this.addType(type, owner);
    const { name, i } = attribute;
    if (i === null || i === undefined || !TYPE_ATTRIBUTE.test(name ?? '')) return;
    this.addElementType(longToNumber(i, `attribute "${name}" of ${owner}`), owner);
  }

  addNode(node: onnx.INodeProto): void {
    const owner = nodeLabel(node);
    this.addIf(node.overload, 10, 'an overload', owner);
    this.addIf(node.metadataProps, 10, 'metadata_props', owner);
    this.addIf(node.deviceConfigurations, 11, 'device_configurations', owner);
    for (const attribute of node.attribute ?? []) this.addAttribute(attribute, owner);
  }

  addFunction(body: onnx.IFunctionProto): void {
    const owner = `function ${body.domain ?? ''}.${body.name ?? ''}`;
    this.addIf(body.attributeProto, 9, 'defaults of attributes', owner);
    this.addIf(body.valueInfo, 10, 'value_info of functions', owner);
    this.addIf(body.overload, 10, 'an overload', owner);
    this.addIf(body.metadataProps, 10, 'metadata_props', owner);
    for (const attribute of body.attributeProto ?? []) this.addAttribute(attribute, owner);
  }

  addGraph(graph: onnx.IGraphProto): void {
    const owner = `graph "${graph.name ?? ''}"`;
    this.addIf(graph.quantizationAnnotation, 5, 'quantization_annotation', owner);
    this.addIf(graph.sparseInitializer, 6, 'a sparse tensor', owner);
    this.addIf(graph.metadataProps, 10, 'metadata_props', owner);
  }
}

/**
 * Everything in a model that IR 5 and later added, in the order it is found. Type Opaque is not counted: IR 14 made
 * it part of builds that never had been in use. Nodes are decoded one at a time and not kept.
 */
export function irFeatures(model: Model): IrFeature[] {
  const features = new Features();
  const proto = syncModel(model);
  features.addIf(proto.configuration, 11, 'device configurations', 'the model');
  features.addIf(proto.trainingInfo, 7, 'training_info', 'the model');
  features.addIf(proto.functions, 8, 'functions', 'the model');
  for (const body of proto.functions ?? []) features.addFunction(body);
  for (const found of messagesOf(proto)) {
    if (found.kind === 'graph') features.addGraph(found.graph);
    else if (found.kind === 'node') features.addNode(peek(found.node));
    else {
      const owner = infoName(found.info);
      const { type, metadataProps } = peek(found.info);
      features.addIf(metadataProps, 10, 'metadata_props', owner);
      features.addType(type, owner);
    }
  }
  for (const { name, tensor } of model.tensors()) {
    features.addElementType(tensor.dtype, name);
    features.addIf(peek(tensor.proto).metadataProps, 10, 'metadata_props', name);
  }
  return [...features.found.values()];
}
