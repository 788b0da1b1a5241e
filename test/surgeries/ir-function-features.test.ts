import { expect, it } from 'vitest';
import type { onnx } from '../../src/proto/onnx.ts';
import { BODY, type Edit, metadataProps, useStep } from './ir-version-step.ts';

const run = useStep();

const FUNCTION = `${BODY}function local.F(a) -> b
  b = Neg(a) @inner
`;

function withFunction(change: (body: onnx.IFunctionProto) => void): Edit {
  return ({ functions }) => {
    const [body] = functions ?? [];
    if (body === undefined) throw new Error('no function');
    change(body);
  };
}

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
