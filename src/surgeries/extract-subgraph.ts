/**
 * Make the part of the model between some values a model of its own.
 *
 * Inputs and outputs are named values of the main graph, computed or not; either list may be left out and is then the
 * model's own. What the outputs need stays: nodes, what their bodies read from outside, initializers, functions that
 * are called. Refused: outputs that need an input which is not listed, and values that would become inputs and whose
 * type nothing states. As onnx.utils.extract_model does, without loading a weight.
 */

import { constantTensor } from '../anatomy/weight.ts';
import { UsageError } from '../errors.ts';
import { type End, extractPart, leftoverOf } from '../model/extract.ts';
import type { Model } from '../model/model.ts';
import { type Part, partBetween } from '../model/part.ts';
import type { Value } from '../model/value.ts';
import { peek } from '../proto/deferred.ts';
import { toInt64 } from '../proto/int64.ts';
import type { onnx } from '../proto/onnx.ts';
import { names, suggestion } from './options.ts';
import { defineSurgery, precondition } from './surgery.ts';

const NAME = 'extract-subgraph';

function quoted(values: readonly Value[]): string {
  return values.map(({ name }) => `"${name}"`).join(', ');
}

/** The value of the main graph with this name. Throws for names that are unknown or belong to a body. */
function findValue(model: Model, name: string): Value {
  const { graph } = model;
  const value = graph.values.get(name);
  if (value !== undefined) return value;
  for (const body of model.graphs()) {
    if (!body.values.has(name)) continue;
    throw precondition(
      NAME,
      `"${name}" is a value of the ${body.kind === 'graph' ? 'body' : 'function'} "${body.name}"`,
      'name values of the main graph: a body is extracted with its node',
    );
  }
  const ends = [...graph.inputs, ...graph.outputs].map((end) => end.name);
  throw new UsageError('ERR_UNKNOWN_NAME', `${NAME}: the model has no value "${name}"`, {
    hint: suggestion(name, [...new Set([...ends, ...graph.values.keys()])]),
  });
}

/** Type and shape of a value as the file states them, or those of its constant tensor. */
function statedInfo(model: Model, value: Value): onnx.IValueInfoProto | undefined {
  const { info } = value;
  const type = info && peek(info).type;
  const isTyped = type?.tensorType ? Boolean(type.tensorType.elemType) : Boolean(type);
  if (isTyped) return info;
  const tensor = constantTensor(model, value) ?? value.tensor;
  if (tensor === undefined) return undefined;
  const dim = tensor.dims.map((size) => ({ dimValue: toInt64(size, 'a dimension') }));
  return { name: value.name, type: { tensorType: { elemType: tensor.dtype, shape: { dim } } } };
}

/** The list of inputs: those that were asked for, or else those needed; inputs with a default where needed. */
function chooseInputs(model: Model, wanted: readonly Value[], part: Part): Value[] {
  const needed = model.graph.inputs.filter((value) => part.values.has(value));
  if (wanted.length === 0) return needed;
  const others = needed.filter((value) => !wanted.includes(value));
  const missing = others.filter((value) => value.tensor === undefined);
  if (missing.length > 0) {
    throw precondition(
      NAME,
      `the outputs need ${quoted(missing)} too, which the inputs leave out`,
      `write inputs=${[...wanted, ...missing].map(({ name }) => name).join('|')}, or cut closer to the outputs`,
    );
  }
  return [...wanted, ...others];
}

function inputEnds(model: Model, inputs: readonly Value[]): End[] {
  const ends = inputs.map((value) => ({ value, info: statedInfo(model, value) }));
  const unknown = ends.filter(({ info }) => info === undefined).map(({ value }) => value);
  if (unknown.length > 0) {
    throw precondition(
      NAME,
      `no type is stated for ${quoted(unknown)}, and an input has to have one`,
      'infer shapes first, for example with onnx.shape_inference.infer_shapes_path',
    );
  }
  return ends.flatMap(({ value, info }) => (info === undefined ? [] : [{ value, info }]));
}

function isSame(a: readonly Value[], b: readonly Value[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}

export default defineSurgery({
  name: NAME,
  aliases: ['extract-model'],
  summary: 'Keep the part of the model between some values',
  options: {
    inputs: names({
      default: [],
      help: "values that become the inputs, several as inputs=a|b; left out: the model's own",
    }),
    outputs: names({
      default: [],
      help: "values that become the outputs, several as outputs=a|b; left out: the model's own",
    }),
  },
  check({ inputs, outputs }) {
    if (inputs.length + outputs.length === 0) {
      throw new UsageError('ERR_OPTION', `surgery ${NAME} needs inputs, outputs, or both`, {
        hint: `write ${NAME}:inputs=a|b,outputs=c`,
      });
    }
    for (const [option, list] of Object.entries({ inputs, outputs })) {
      const twice = list.find((name, index) => list.indexOf(name) !== index);
      if (twice === undefined) continue;
      throw new UsageError('ERR_OPTION', `surgery ${NAME}: ${option} has "${twice}" twice`);
    }
  },
  apply(model, options) {
    const { graph } = model;
    const wanted = options.inputs.map((name) => findValue(model, name));
    const outputs =
      options.outputs.length === 0
        ? graph.outputs
        : options.outputs.map((name) => findValue(model, name));
    const between = partBetween(model, new Set(wanted), outputs);
    const inputs = chooseInputs(model, wanted, between);
    const part = { ...between, values: new Set([...between.values, ...inputs]) };
    const left = leftoverOf(model, part);
    const dropped = [left.initializers, left.functions].some((list) => list.length > 0);
    const hasTraining = (model.proto.trainingInfo ?? []).length > 0;
    const warnings = inputs
      .filter((value) => !between.values.has(value))
      .map(({ name }) => `no output needs "${name}"; it is an input all the same`);
    if (
      isSame(inputs, graph.inputs) &&
      isSame(outputs, graph.outputs) &&
      left.nodes === 0 &&
      !dropped
    ) {
      return { changes: [], declined: [], warnings };
    }
    const ends = {
      inputs: inputEnds(model, inputs),
      outputs: outputs.map((value) => ({
        value,
        info: statedInfo(model, value) ?? value.info ?? { name: value.name },
      })),
    };
    const total = graph.nodes.length;
    for (const { value, info } of ends.outputs) {
      if (info.type) continue;
      warnings.push(`no type is stated for the output "${value.name}"; runtimes have to infer it`);
    }
    if (hasTraining) warnings.push('training information is left out: it is about the whole model');
    extractPart(model, part, ends);
    const what = `${part.nodes.size} of ${total} nodes, from ${quoted(inputs) || 'no input'} to ${quoted(outputs)}`;
    return { changes: [{ node: graph.name || 'the graph', what }], declined: [], warnings };
  },
});
