import { describe, expect, it } from 'vitest';
import { removeDead } from '../../src/model/liveness.ts';
import type { Model } from '../../src/model/model.ts';
import { openText, type WriteModelOptions } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

/** What is left of a model, sorted: first outputs of all nodes and initializers of all graphs. */
function left(text: string, edit?: WriteModelOptions['edit']): string[] {
  using opened = openText(scratch(), text, edit === undefined ? {} : { edit });
  removeDead(opened.model);
  checkUses(opened.model);
  return [
    ...[...opened.model.nodes()].map((node) => node.outputs[0]?.name ?? ''),
    ...[...opened.model.graphs()].flatMap((graph) => [...graph.initializers.keys()]),
  ].sort();
}

/** Every reader that a value counts is in the model, and the other way around. */
function checkUses(model: Model): void {
  const nodes = new Set(model.nodes());
  for (const node of nodes) {
    for (const input of node.inputs) {
      if (input !== undefined) expect(input.consumers).toContain(node);
    }
  }
  for (const graph of model.graphs()) {
    for (const value of graph.values.values()) {
      for (const reader of value.consumers) expect(nodes).toContain(reader);
    }
  }
}

const HEAD = 'input x: fp32[4]\ninput c: bool[]\noutput y\n';

describe('what no output depends on', () => {
  it('goes, a chain of any length with its weights', () => {
    const text = `${HEAD}weight w: fp32[4]\nweight v: fp32[4]
y = Add(x, v)
a = Add(y, w)
b = Neg(a)
d, e = Split(b)
`;
    expect(left(text)).toEqual(['v', 'y']);
  });

  it('goes with the bodies of its nodes and with what only they read', () => {
    const text = `${HEAD}weight w: fp32[4]
a = Neg(x)
b = If(c)
  then_branch:
    output t
    weight tw: fp32[4]
    t = Sum(a, w, tw)
  else_branch:
    output e
    e = Identity(a)
y = Abs(x)
`;
    expect(left(text)).toEqual(['y']);
  });

  it('goes from inside a living body', () => {
    const text = `${HEAD}weight w: fp32[4]
y = If(c)
  then_branch:
    output t
    weight used: fp32[4]
    weight unused: fp32[4]
    dead = Add(used, w)
    t = Add(x, used)
  else_branch:
    output e
    e = Neg(x)
`;
    expect(left(text)).toEqual(['e', 't', 'used', 'y']);
  });

  it('goes from a function body; the function itself stays, called or not', () => {
    const text = `${HEAD}y = Neg(x)
function local.F(a) -> b
  d = Neg(a)
  b = Abs(a)
`;
    expect(left(text)).toEqual(['b', 'y']);
  });
});

describe('what stays', () => {
  it('is what only a body reads, at any depth', () => {
    const text = `${HEAD}weight w: fp32[4]
h = Add(x, w)
y = If(c)
  then_branch:
    output t
    t = If(c)
      then_branch:
        output tt
        tt = Neg(h)
      else_branch:
        output te
        te = Neg(x)
  else_branch:
    output e
    e = Neg(x)
`;
    expect(left(text)).toEqual(['e', 'h', 't', 'te', 'tt', 'w', 'y']);
  });

  it('is an initializer that is a graph input, or an output', () => {
    const text = `${HEAD}input w: fp32[4]\noutput v\nweight w: fp32[4]\nweight v: fp32[4]\ny = Neg(x)\n`;
    expect(left(text)).toEqual(['v', 'w', 'y']);
  });

  it('is a value that a body lists as its output from outside', () => {
    const text = `${HEAD}h = Neg(x)
y = If(c)
  then_branch:
    output h
  else_branch:
    output e
    e = Neg(x)
`;
    expect(left(text)).toEqual(['e', 'h', 'y']);
  });

  it('is what a quantization annotation names', () => {
    const text = `${HEAD}weight s: fp32[1]\nweight z: fp32[1]\ny = Neg(x)\n`;
    const result = left(text, (_, graph) => {
      graph.quantizationAnnotation = [
        { tensorName: 'y', quantParameterTensorNames: [{ key: 'SCALE_TENSOR', value: 's' }] },
      ];
    });
    expect(result).toEqual(['s', 'y']);
  });

  it('is what training bindings name and what the training algorithm reads', () => {
    const text = `${HEAD}weight bound: fp32[1]\nweight read: fp32[1]\nweight no: fp32[1]
y = Neg(x)
loss = Abs(y)
`;
    const result = left(text, (proto) => {
      proto.trainingInfo = [
        {
          algorithm: {
            name: 'step',
            node: [{ opType: 'Sub', input: ['read', 'loss'], output: ['next'] }],
            output: [{ name: 'next' }],
          },
          updateBinding: [{ key: 'bound', value: 'next' }],
        },
      ];
    });
    expect(result).toEqual(['bound', 'loss', 'read', 'y']);
  });

  it('is every output of a living node and the operand of a node without outputs read', () => {
    const text = `${HEAD}weight w: fp32[4]\ny, side = Split(x, w)\n`;
    expect(left(text)).toEqual(['w', 'y']);
  });
});
