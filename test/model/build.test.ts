import { describe, expect, it } from 'vitest';
import { DType } from '../../src/dtypes.ts';
import { FormatError } from '../../src/errors.ts';
import { misorderedNodes } from '../../src/model/liveness.ts';
import { openText } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

function open(text: string, edit?: Parameters<typeof openText>[2]) {
  return openText(scratch(), text, edit);
}

function opening(text: string, edit?: Parameters<typeof openText>[2]): () => void {
  return () => {
    using _opened = open(text, edit);
  };
}

describe('uses of a value', () => {
  it('counts readers in the graph and in every body below it', () => {
    using opened = open(`
input x: fp32[4]
input c: bool[]
output y
weight w: fp32[4]
a = Add(w, w)
y = If(c) @if
  then_branch:
    output t
    t = Add(x, w)
  else_branch:
    output e
    n = If(c) @inner
      then_branch:
        output tt
        tt = Mul(a, w)
      else_branch:
        output ee
        ee = Identity(a)
    e = Identity(n)
`);
    const { graph } = opened.model;
    const w = graph.values.get('w');
    expect(w?.useCount).toBe(4);
    expect((w?.consumers ?? []).map((node) => node.opType)).toEqual(['Add', 'Add', 'Mul']);
    expect(graph.values.get('a')?.useCount).toBe(2);
    expect([...opened.model.graphs()]).toHaveLength(5);
    expect([...opened.model.nodes()]).toHaveLength(7);
    expect(graph.values.get('y')?.isGraphOutput).toBe(true);
    expect(w?.isGraphOutput).toBe(false);
  });

  it('lets a body shadow a name of the graph around it', () => {
    using opened = open(`
input x: fp32[4]
input c: bool[]
output y
h = Neg(x)
y = If(c)
  then_branch:
    output t
    h = Abs(x)
    t = Identity(h)
  else_branch:
    output e
    e = Identity(h)
`);
    const readers = opened.model.graph.values.get('h')?.consumers ?? [];
    expect(readers.map((node) => node.outputs[0]?.name)).toEqual(['e']);
  });

  it('keeps omitted inputs and outputs where they are', () => {
    using opened = open(`
input x: fp32[4]
output y
y, , z = Op.X(x, , x, )
`);
    const [node] = opened.model.graph.nodes;
    expect(node?.inputs.map((value) => value?.name)).toEqual(['x', undefined, 'x', undefined]);
    expect(node?.outputs.map((value) => value?.name)).toEqual(['y', undefined, 'z']);
    expect(node?.domain).toBe('Op');
    expect(node?.is('X', 'Op')).toBe(true);
    expect(node?.is('X')).toBe(false);
    expect(node?.label).toBe('X → y');
  });

  it('gives functions their own scope', () => {
    using opened = open(`
input x: fp32[4]
output y
y = local.F(x)
function local.F(x) -> y
  a = Neg(x)
  y = Neg(a)
`);
    const [body] = opened.model.functions;
    expect(body?.kind).toBe('function');
    expect(body?.parent).toBeUndefined();
    expect(body?.values.get('x')).not.toBe(opened.model.graph.values.get('x'));
    expect(body?.outputs.map((value) => value.name)).toEqual(['y']);
    expect(opened.model.names.claim('a')).toBe('a_1');
  });
});

describe('initializers', () => {
  it('that are also graph inputs can be replaced by a caller', () => {
    using opened = open(`
input w: fp32[4]
input x: fp32[4]
output y
weight w: fp32[4]
weight v: fp32[4]
y = Sum(x, w, v)
`);
    const { values, initializers } = opened.model.graph;
    expect(values.get('w')?.isConstant).toBe(false);
    expect(values.get('w')?.tensor?.dims).toEqual([4]);
    expect(values.get('v')?.isConstant).toBe(true);
    expect([...initializers.keys()]).toEqual(['w', 'v']);
  });

  it('of a sparse kind are values, and their parts are tensors of the model', () => {
    using opened = open(
      `
input x: fp32[4]
output y
y = Add(x, s)
`,
      {
        edit: (_, graph) => {
          graph.sparseInitializer = [
            {
              values: { name: 's', dataType: 1, dims: [1], rawData: new Uint8Array(4) },
              indices: { name: '', dataType: 7, dims: [1], rawData: new Uint8Array(8) },
              dims: [4],
            },
          ];
        },
      },
    );
    const s = opened.model.graph.values.get('s');
    expect(s?.useCount).toBe(1);
    expect(s?.tensor).toBeUndefined();
    expect(s?.isConstant).toBe(false);
    const names = [...opened.model.tensors()].map(({ name }) => name);
    expect(names).toEqual(['s', 'sparse initializer indices']);
  });

  it('of Constant nodes are tensors of the model while the node is in it', () => {
    using opened = open(`
input x: fp32[4]
output y
const w: fp32[16, 32]
y = Add(x, w)
`);
    const { model } = opened;
    const [constant] = model.graph.nodes;
    const [found] = [...model.tensors()];
    expect(found?.tensor.dtype).toBe(DType.FLOAT);
    expect(found?.tensor.data.kind).toBe('range');
    if (constant) model.graph.removeNodes(new Set([constant]));
    model.graph.proto.node = [];
    expect([...model.tensors()]).toEqual([]);
  });
});

describe('a graph that no runtime could load', () => {
  it.each([
    ['a name that nothing defines', 'y = Neg(nowhere) @n', 'node "n" reads "nowhere"'],
    ['an output that nothing defines', 'z = Neg(x)', 'has the output "y", which nothing defines'],
    ['one name for two outputs', 'y = Neg(x)\ny = Abs(x)', 'defines the value "y" twice'],
    ['a node output named as an input', 'x = Neg(x)\ny = Neg(x)', 'defines the value "x" twice'],
    [
      'a node output named as a weight',
      'weight w: fp32[4]\nw = Neg(x)\ny = Neg(w)',
      'defines the value "w" twice',
    ],
    [
      'two weights of one name',
      'weight w: fp32[4]\nweight w: fp32[4]\ny = Neg(w)',
      'defines the value "w" twice',
    ],
    [
      'the value of another body',
      `input c: bool[]
y = If(c)
  then_branch:
    output t
    t = Neg(x)
  else_branch:
    output e
    e = Neg(t)`,
      'reads "t", which nothing defines',
    ],
    [
      'a function that reads the main graph',
      'y = local.F(x)\nfunction local.F(a) -> b\n  b = Neg(x)',
      'function "F": node "Neg → b" reads "x"',
    ],
  ])('has %s', (_, body, message) => {
    const run = opening(`input x: fp32[4]\noutput y\n${body}\n`);
    expect(run).toThrow(FormatError);
    expect(run).toThrow(message);
  });

  it('has a tensor whose shape and bytes disagree', () => {
    const run = opening('input x: fp32[4]\noutput y\nweight w: fp32[4]\ny = Add(x, w)', {
      edit: (_, graph) => {
        const [tensor] = graph.initializer ?? [];
        if (tensor) tensor.dims = [5];
      },
    });
    expect(run).toThrow('tensor "w": shape [5] needs 20 bytes, the file holds 16');
  });

  it.each([-1, 2 ** 53])('has a dimension of %d', (dim) => {
    const run = opening('input x: fp32[4]\noutput y\nweight w: fp32[4]\ny = Add(x, w)', {
      edit: (_, graph) => {
        const [tensor] = graph.initializer ?? [];
        if (tensor) tensor.dims = [dim];
      },
    });
    expect(run).toThrow(FormatError);
  });
});

describe('the order of nodes', () => {
  it('is looked at in every graph', () => {
    using opened = open(`
input x: fp32[4]
input c: bool[]
output y
y = If(c) @if
  then_branch:
    output t
    t = Identity(late) @early
    late = Neg(x)
  else_branch:
    output e
    e = Neg(x)
`);
    expect(misorderedNodes(opened.model).map((node) => node.name)).toEqual(['early']);
  });
});
