import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PreconditionError } from '../../src/errors.ts';
import { openModel } from '../../src/external-data/open-model.ts';
import { toInt64 } from '../../src/proto/int64.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { cli } from '../support/cli.ts';
import { expectClose } from '../support/compare-runs.ts';
import { declaredFeeds, runModel, writeModel } from '../support/model-builder.ts';
import { initializerBytes, runText } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const STEPS = ['constant-to-initializer'] as const;

const NUMBERS = `
output n: int64[2]
n = Constant() @numbers {value_ints: [1, 2]}
`;

function attributeOf(graph: onnx.IGraphProto): onnx.IAttributeProto {
  const attribute = graph.node?.[0]?.attribute?.[0];
  if (!attribute) throw new Error('no attribute');
  return attribute;
}

it('keeps every bit of integers and floats, and runs in both branches', async () => {
  const text = `
input x: fp32[4]
input c: bool[]
output y: fp32[4]
y = If(c)
  then_branch:
    output t
    f = Constant() @floats {value_ints: [0]}
    t = Mul(x, f)
  else_branch:
    output e
    const e: fp32[4] = list(1, 2, 3, 4)
`;
  const floats = [0.1, -0, 3.4e38, 1e-45];
  const run = await runText(scratch(), text, STEPS, {
    edit: (_, graph) => {
      const body = attributeOf(graph).g ?? {};
      Object.assign(attributeOf(body), { name: 'value_floats', type: 6, floats, ints: [] });
    },
  });
  await expectClose(run, 0);
  const feeds = await declaredFeeds(run.input);
  const other = { ...feeds, c: { type: 'bool', dims: [], data: Uint8Array.of(0) } };
  const y = (await runModel(run.output, other)).get('y');
  expect([...(y?.data ?? [])]).toEqual([1, 2, 3, 4]);
  using opened = openModel(run.output);
  const [then] = opened.model.graph.nodes[0]?.subgraphs ?? [];
  const data = then?.initializers.get('f')?.tensor?.data;
  expect(data?.kind === 'inline' && Buffer.from(data.bytes)).toEqual(
    Buffer.from(Float32Array.from(floats).buffer),
  );
});

it('keeps integers beyond 2^53, such as the ends of slices', async () => {
  const largest = 2n ** 63n - 1n;
  const run = await runText(scratch(), NUMBERS, STEPS, {
    edit: (_, graph) => {
      attributeOf(graph).ints = [toInt64(largest, 'an end'), -1];
    },
  });
  await expectClose(run, 0);
  expect(run.printed).toContain(`weight n: int64[2] = list(${largest}, -1)`);
});

it('hands on what the node says about itself, and what its tensor says', async () => {
  const text = 'output w: fp32[64, 64]\nconst w: fp32[64, 64] = random(1)\n';
  const run = await runText(scratch(), text, STEPS, {
    edit: (_, graph) => {
      Object.assign(graph.node?.[0] ?? {}, {
        docString: 'a table',
        metadataProps: [{ key: 'origin', value: 'node' }],
      });
      Object.assign(attributeOf(graph).t ?? {}, {
        metadataProps: [{ key: 'kind', value: 'tensor' }],
      });
    },
  });
  using opened = openModel(run.output);
  const proto = opened.model.graph.initializers.get('w')?.tensor?.proto;
  expect(proto?.docString).toBe('a table');
  expect(proto?.metadataProps?.map(({ key }) => key)).toEqual(['kind', 'origin']);
  expect(initializerBytes(run.output, 'w')).toHaveLength(64 * 64 * 4);
});

it('leaves sparse values, and bodies inside functions', async () => {
  const text = `
output z: fp32[4]
s = Constant() @sparse {value_int: 1}
c = Constant() {value_int: 1}
b = Cast(c) {to: 9}
z = local.Pick(b)
function local.Pick(b) -> z
  z = If(b)
    then_branch:
      output t
      const t: fp32[4] = list(1, 2, 3, 4)
    else_branch:
      output e
      const e: fp32[4] = list(5, 6, 7, 8)
`;
  const run = await runText(scratch(), text, STEPS, {
    edit: (_, graph) => {
      const tensor = { dataType: 1, dims: [1], floatData: [1] };
      const sparseTensor = {
        values: tensor,
        indices: { dataType: 7, dims: [1], int64Data: [0] },
        dims: [4],
      };
      const attribute = attributeOf(graph);
      Object.assign(attribute, { name: 'sparse_value', type: 11, i: null, sparseTensor });
    },
  });
  expect(run.report.steps[0]?.changes.map(({ node }) => node)).toEqual(['Constant → c']);
  expect(run.declined).toEqual([
    'its value is sparse, and as an initializer it would have to be stored dense',
    'it is in the body of a function, which has no initializers',
    'it is in the body of a function, which has no initializers',
  ]);
});

it('refuses models whose initializers have to be inputs', async () => {
  const old = runText(scratch(), `ir 3\nopset 12\n${NUMBERS}`, STEPS);
  await expect(old).rejects.toThrow(PreconditionError);
  await expect(old).rejects.toThrow('the model has IR version 3, where every initializer is also');
});

it('runs from the command line', () => {
  const path = writeModel(scratch('model'), NUMBERS);
  const args = ['apply', path, '-o', scratch('out'), '--surgery', 'constant-to-initializer'];
  expect(cli(args)).toMatchObject({
    status: 0,
    stderr: 'constant-to-initializer: numbers: is an initializer now: int64 [2]\n',
  });
  using opened = openModel(join(scratch('out'), 'model.onnx'));
  expect(opened.model.graph.nodes).toEqual([]);
});
