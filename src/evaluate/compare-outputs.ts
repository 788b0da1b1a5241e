/** Two models side by side: the same feeds, and how far apart their outputs are. */

import { openDecoder } from './decoder.ts';
import { asNumbers, type HostTensor } from './host-tensor.ts';
import type { SessionOptions, ValueInfo } from './session.ts';
import { checkedTokens } from './tokens.ts';

/** Distance between two outputs of one name. */
export interface OutputDifference {
  readonly name: string;
  readonly elements: number;
  /** Largest |a - b|; infinite where only one of the two is NaN or they are different infinities. */
  readonly maxAbs: number;
  /** Mean |a - b|. */
  readonly meanAbs: number;
  /** Largest |a|, to see the differences in proportion. */
  readonly maxMagnitude: number;
}

/** Result of {@link compareOutputs}. */
export interface OutputComparison {
  /** Names, element types and order of inputs and outputs that differ, one line each; empty when all agree. */
  readonly interfaceDifferences: readonly string[];
  /**
   * The first model's output of next-token scores, also among `outputs`; undefined when the second returns it under
   * another name or in another shape.
   */
  readonly logits: OutputDifference | undefined;
  /** Every output both models have, in the order of the first. */
  readonly outputs: readonly OutputDifference[];
  /** Outputs whose shapes differ, with both shapes; they are not in `outputs`. */
  readonly shapeDifferences: readonly string[];
}

/**
 * Runs two decoders on `tokens`, from an empty state, and measures how far their outputs are apart. Both are in
 * memory at once.
 * @throws what opening or running either decoder throws
 */
export async function compareOutputs(
  pathA: string,
  pathB: string,
  tokens: ArrayLike<number>,
  options: SessionOptions = {},
): Promise<OutputComparison> {
  const ids = checkedTokens(tokens, 'tokens');
  const a = await openDecoder(pathA, options);
  try {
    const b = await openDecoder(pathB, options);
    try {
      const outputsA = await a.run(ids);
      const outputsB = await b.run(ids);
      const outputs: OutputDifference[] = [];
      const shapeDifferences: string[] = [];
      for (const [name, first] of outputsA) {
        const second = outputsB.get(name);
        if (second === undefined) continue;
        if (sameDims(first, second)) outputs.push(outputDifference(name, first, second));
        else shapeDifferences.push(`${name}: ${shapeText(first)} and ${shapeText(second)}`);
      }
      return {
        interfaceDifferences: [
          ...valueDifferences('input', a.session.inputs, b.session.inputs),
          ...valueDifferences('output', a.session.outputs, b.session.outputs),
        ],
        logits: outputs.find((output) => output.name === a.plan.logits),
        outputs,
        shapeDifferences,
      };
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

function sameDims(a: HostTensor, b: HostTensor): boolean {
  return a.dims.length === b.dims.length && a.dims.every((size, axis) => size === b.dims[axis]);
}

function shapeText(tensor: HostTensor): string {
  return `${tensor.type}[${tensor.dims.join(', ')}]`;
}

/** Elements compared at a time, so that widening fp16 does not double the memory of large logits. */
const CHUNK = 65536;

/** Distance between two tensors with the same number of elements. */
export function outputDifference(name: string, a: HostTensor, b: HostTensor): OutputDifference {
  const elements = a.data.length;
  let maxAbs = 0;
  let sum = 0;
  let maxMagnitude = 0;
  for (let begin = 0; begin < elements; begin += CHUNK) {
    const end = Math.min(begin + CHUNK, elements);
    const left = asNumbers(a, begin, end);
    const right = asNumbers(b, begin, end);
    for (let i = 0; i < left.length; i++) {
      const distance = distanceBetween(left[i] as number, right[i] as number);
      sum += distance;
      if (distance > maxAbs) maxAbs = distance;
      const magnitude = Math.abs(left[i] as number);
      if (magnitude > maxMagnitude) maxMagnitude = magnitude;
    }
  }
  return { name, elements, maxAbs, meanAbs: elements === 0 ? 0 : sum / elements, maxMagnitude };
}

function distanceBetween(a: number, b: number): number {
  if (Object.is(a, b)) return 0;
  const distance = Math.abs(a - b);
  return Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance;
}

/** What differs between two lists of inputs or outputs, as a caller of the model sees it. Shapes are not compared. */
export function valueDifferences(
  kind: 'input' | 'output',
  a: readonly ValueInfo[],
  b: readonly ValueInfo[],
): string[] {
  const typesB = new Map(b.map((value) => [value.name, value.type]));
  const namesA = new Set(a.map((value) => value.name));
  const differences: string[] = [];
  for (const { name, type } of a) {
    const other = typesB.get(name);
    if (other === undefined) differences.push(`${kind} "${name}" is missing in the second model`);
    else if (other !== type) differences.push(`${kind} "${name}" is ${type} and ${other}`);
  }
  for (const { name } of b) {
    if (!namesA.has(name)) differences.push(`${kind} "${name}" is missing in the first model`);
  }
  const sharedA = a.filter((value) => typesB.has(value.name));
  const sharedB = b.filter((value) => namesA.has(value.name));
  const moved = sharedA.find((value, index) => value.name !== sharedB[index]?.name);
  if (moved !== undefined) differences.push(`${kind} "${moved.name}" is at another place`);
  return differences;
}
