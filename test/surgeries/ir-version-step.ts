/** Runs `set-ir-version` on a small model with one more feature than it had. */

import { readFileSync } from 'node:fs';
import { onnx } from '../../src/proto/onnx.ts';
import { parseStep } from '../../src/recipes/recipe.ts';
import type { WriteModelOptions } from '../support/model-builder.ts';
import { runText } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

/** Changes to the messages of a model before it is written. */
export type Edit = NonNullable<WriteModelOptions['edit']>;

/** A model with bodies that needs no IR version above 3: `add`, then `if` with `neg` or `cast`. */
export const BODY = `
input x: fp32[4]
input c: bool[]
output y: fp32[4]
weight w: fp32[4] = random(1)
h = Add(x, w) @add
y = If(c) @if
  then_branch:
    output t
    t = Neg(h) @neg
  else_branch:
    output e
    e = Cast(h) @cast {to: 1}
`;

/** Metadata to put where some IR version has it. */
export const metadataProps = [{ key: 'k', value: 'v' }];

/** A tensor type. */
export const tensorOf = (elemType: number): onnx.ITypeProto => ({ tensorType: { elemType } });

/** Declares the type of `h`. */
export function typed(type: onnx.ITypeProto): Edit {
  return (_, graph) => {
    graph.valueInfo = [{ name: 'h', type }];
  };
}

/** What a step did, what it left, and the messages it wrote. */
export interface StepRun {
  readonly changes: readonly string[];
  readonly declined: readonly string[];
  readonly warnings: readonly string[];
  readonly written: onnx.ModelProto | undefined;
}

/** Returns a function that runs a step on a model from text, in a directory of its own. */
export function useStep(): (step: string, text: string, edit?: Edit) => Promise<StepRun> {
  const scratch = useScratchDirectory();
  let count = 0;
  return async (step, text, edit) => {
    const { surgery, options } = parseStep(step);
    const { report, output } = await runText(
      scratch(`${count++}`),
      text,
      [[surgery, options]],
      edit === undefined ? {} : { edit },
    );
    const [first] = report.steps;
    return {
      changes: (first?.changes ?? []).map(({ node, what }) => `${node}: ${what}`),
      declined: (first?.declined ?? []).map(({ node, reason }) => `${node}: ${reason}`),
      warnings: first?.warnings ?? [],
      written: report.changed ? onnx.ModelProto.decode(readFileSync(output)) : undefined,
    };
  };
}
