import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../src/errors.ts';
import { onnx } from '../../src/proto/onnx.js';
import { checkRecipe, parseStep } from '../../src/recipes/recipe.ts';
import type { WriteModelOptions } from '../support/model-builder.ts';
import { runText } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();
let count = 0;

type Edit = NonNullable<WriteModelOptions['edit']>;

/** Runs a step and returns what it did, what it left and the messages it wrote. */
async function run(step: string, text: string, edit?: Edit) {
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
}

function checking(step: string): () => void {
  return () => checkRecipe({ name: 'r', steps: [parseStep(step)] });
}

const BODY = `
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
const FUNCTION = `${BODY}function local.F(a) -> b
  b = Neg(a) @inner
`;

const metadataProps = [{ key: 'k', value: 'v' }];

function typed(type: onnx.ITypeProto): Edit {
  return (_, graph) => {
    graph.valueInfo = [{ name: 'h', type }];
  };
}

function withNode(change: (node: onnx.INodeProto) => void): Edit {
  return (_, graph) => {
    const [, node] = graph.node ?? [];
    const [branch] = node?.attribute?.[0]?.g?.node ?? [];
    if (branch === undefined) throw new Error('no node');
    change(branch);
  };
}

function withFunction(change: (body: onnx.IFunctionProto) => void): Edit {
  return ({ functions }) => {
    const [body] = functions ?? [];
    if (body === undefined) throw new Error('no function');
    change(body);
  };
}

function withTensor(change: (tensor: onnx.ITensorProto) => void): Edit {
  return (_, graph) => {
    const [tensor] = graph.initializer ?? [];
    if (tensor === undefined) throw new Error('no tensor');
    change(tensor);
  };
}

const tensorOf = (elemType: number): onnx.ITypeProto => ({ tensorType: { elemType } });

describe('set-ir-version', () => {
  it.each<[number, string, string, Edit]>([
    [
      5,
      'graph "main"',
      'quantization_annotation',
      (_, graph) => {
        graph.quantizationAnnotation = [{ tensorName: 'w' }];
      },
    ],
    [
      6,
      'graph "main"',
      'a sparse tensor',
      (_, graph) => {
        const values = { name: 's', dataType: 1, dims: [1], floatData: [1] };
        const indices = { dataType: 7, dims: [1], int64Data: [2] };
        graph.sparseInitializer = [{ values, indices, dims: [4] }];
      },
    ],
    [
      6,
      'neg',
      'a sparse tensor',
      withNode((node) => {
        const values = { dataType: 1, dims: [1], floatData: [1] };
        const indices = { dataType: 7, dims: [1], int64Data: [2] };
        node.attribute = [{ name: 's', type: 11, sparseTensor: { values, indices, dims: [4] } }];
      }),
    ],
    [
      7,
      'the model',
      'training_info',
      (proto) => {
        proto.trainingInfo = [{}];
      },
    ],
    [8, 'h', 'a sparse tensor type', typed({ sparseTensorType: { elemType: 1 } })],
    [8, 'h', 'an optional type', typed({ optionalType: { elemType: tensorOf(1) } })],
    [
      8,
      'neg',
      'a type as attribute',
      withNode((node) => {
        node.attribute = [{ name: 'type', type: 13, tp: tensorOf(1) }];
      }),
    ],
    [
      9,
      'w',
      'the element type fp8e5m2',
      withTensor((tensor) => {
        tensor.dataType = 19;
        tensor.rawData = new Uint8Array(4);
      }),
    ],
    [9, 'h', 'the element type fp8e4m3fn', typed(tensorOf(17))],
    [
      9,
      'neg',
      'the element type fp8e4m3fnuz',
      withNode((node) => {
        node.attribute = [{ name: 'to', type: 2, i: 18 }];
      }),
    ],
    [10, 'h', 'the element type int4', typed({ sequenceType: { elemType: tensorOf(22) } })],
    [
      10,
      'h',
      'the element type uint4',
      typed({ mapType: { keyType: 7, valueType: tensorOf(21) } }),
    ],
    [
      10,
      'neg',
      'metadata_props',
      withNode((node) => {
        node.metadataProps = metadataProps;
      }),
    ],
    [
      10,
      'neg',
      'an overload',
      withNode((node) => {
        node.overload = 'o';
      }),
    ],
    [
      10,
      'w',
      'metadata_props',
      withTensor((tensor) => {
        tensor.metadataProps = metadataProps;
      }),
    ],
    [
      10,
      'graph "main"',
      'metadata_props',
      (_, graph) => {
        graph.metadataProps = metadataProps;
      },
    ],
    [
      10,
      'x',
      'metadata_props',
      (_, graph) => {
        const [input] = graph.input ?? [];
        if (input) input.metadataProps = metadataProps;
      },
    ],
    [
      11,
      'the model',
      'device configurations',
      (proto) => {
        proto.configuration = [{ name: 'two', numDevices: 2 }];
      },
    ],
    [
      11,
      'neg',
      'device_configurations',
      withNode((node) => {
        node.deviceConfigurations = [{ configurationId: 'two' }];
      }),
    ],
    [11, 'h', 'the element type fp4e2m1', typed(tensorOf(23))],
    [
      12,
      'neg',
      'the element type fp8e8m0',
      withNode((node) => {
        node.attribute = [{ name: 'output_dtype', type: 2, i: 24 }];
      }),
    ],
    [
      13,
      'neg',
      'the element type uint2',
      withNode((node) => {
        node.attribute = [{ name: 'softmax_precision', type: 2, i: 25 }];
      }),
    ],
    [
      13,
      'neg',
      'the element type int2',
      withNode((node) => {
        node.attribute = [{ name: 'type', type: 13, tp: tensorOf(26) }];
      }),
    ],
    [14, 'h', 'the element type fp6e2m3', typed({ sparseTensorType: { elemType: 27 } })],
    [14, 'h', 'the element type fp6e3m2', typed(tensorOf(28))],
  ])('IR %i is needed where %s has %s', async (version, node, what, edit) => {
    const text = `ir 14\n${BODY}`;
    const lowered = await run(`set-ir-version:version=${Math.max(version, 8)}`, text, edit);
    if (version < 14) {
      expect(lowered.changes).toEqual([`ir_version: IR version 14 is ${Math.max(version, 8)} now`]);
      expect(Number(lowered.written?.irVersion)).toBe(Math.max(version, 8));
    }
    const refused = await run(`set-ir-version:version=${version - 1}`, text, edit);
    expect(refused.changes).toEqual([]);
    expect(refused.declined).toContainEqual(
      expect.stringMatching(
        new RegExp(
          `^${node}: ${what} came with IR version ${version}; the lowest version for this`,
        ),
      ),
    );
  });

  it.each<[number, string, string, Edit | undefined]>([
    [8, 'the model', 'functions', undefined],
    [
      9,
      'function local.F',
      'defaults of attributes',
      withFunction((body) => {
        body.attributeProto = [{ name: 'a', type: 1, f: 1 }];
      }),
    ],
    [
      10,
      'function local.F',
      'value_info of functions',
      withFunction((body) => {
        body.valueInfo = [{ name: 'b' }];
      }),
    ],
    [
      10,
      'function local.F',
      'an overload',
      withFunction((body) => {
        body.overload = 'o';
      }),
    ],
    [
      10,
      'function local.F',
      'metadata_props',
      withFunction((body) => {
        body.metadataProps = metadataProps;
      }),
    ],
    [
      10,
      'inner',
      'metadata_props',
      withFunction((body) => {
        const [node] = body.node ?? [];
        if (node) node.metadataProps = metadataProps;
      }),
    ],
    [
      13,
      'function local.F',
      'the element type int2',
      withFunction((body) => {
        body.attributeProto = [{ name: 'dtype', type: 2, i: 26 }];
      }),
    ],
  ])('IR %i is needed where %s has %s, in functions', async (version, node, what, edit) => {
    const { declined } = await run(
      `set-ir-version:version=${version - 1}`,
      `ir 14\n${FUNCTION}`,
      edit,
    );
    expect(declined).toContainEqual(
      expect.stringMatching(new RegExp(`^${node}: ${what} came with IR version ${version};`)),
    );
  });

  it('tells of each thing once, and how many have it', async () => {
    const { declined, written } = await run(
      'set-ir-version:version=7',
      `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
value h: fp32[rows, 64]
h = Cast(x) @a {to: 21}
i = Cast(h) @b {to: 21}
y = local.F(i) @c
function local.F(a) -> b
  b = Cast(a) {to: 1}
`,
      (_, graph) => {
        for (const node of graph.node ?? []) node.metadataProps = metadataProps;
      },
    );
    const bound = 'the lowest version for this model is 10';
    expect(declined).toEqual([
      `the model: functions came with IR version 8; ${bound}`,
      `a: metadata_props came with IR version 10 (2 more have that); ${bound}`,
      `a: the element type uint4 came with IR version 10 (1 more have that); ${bound}`,
    ]);
    expect(written).toBeUndefined();
  });

  it.each([
    [10, 'the model has IR version 10 already'],
    [15, 'what needs IR version 15 is unknown: the newest known one is 14'],
  ])('leaves a model of IR %i alone', async (irVersion, reason) => {
    const edit: Edit = (proto) => {
      proto.irVersion = irVersion;
    };
    const { declined } = await run('set-ir-version:version=10', BODY, edit);
    expect(declined).toEqual([`ir_version: ${reason}`]);
  });

  it('declines an element type of the future', async () => {
    const { declined } = await run(
      'set-ir-version:version=9',
      `ir 14\n${BODY}`,
      typed(tensorOf(31)),
    );
    expect(declined).toEqual([
      'h: the element type dtype 31 came with IR version 15; the lowest version for this model is 15',
    ]);
  });

  it('says what it means for inputs of models before IR 4', async () => {
    const text =
      'ir 3\ninput x: fp32[4]\ninput w: fp32[4]\noutput y\nweight w: fp32[4]\ny = Add(x, w)\n';
    const { changes, warnings } = await run('set-ir-version:version=8', text);
    expect(changes).toEqual(['ir_version: IR version 3 is 8 now']);
    expect(warnings).toEqual([
      'from IR version 4 on, callers may give other values for 1 initializers that are inputs',
    ]);
  });

  it('knows versions 4 to 14', () => {
    expect(checking('set-ir-version:version=3')).toThrow(UsageError);
    expect(checking('set-ir-version:version=15')).toThrow(UsageError);
    expect(checking('set-ir-version')).toThrow('needs the option "version"');
  });
});
