import type { onnx } from '../../../src/proto/onnx.ts';
import { type Case, type Edit, localFunction, node, withFunctions } from './case.ts';

/** Makes `y` a LeakyRelu with attributes. */
function withAttributes(...attribute: onnx.IAttributeProto[]): Edit {
  return (graph) => {
    graph.node[1] = node('LeakyRelu', 'leaky', ['h'], ['y'], { attribute });
  };
}

/** Nodes and their attributes. */
export const NODES: readonly Case[] = [
  {
    name: 'a node without an operator',
    edit: ({ node: nodes }) => nodes.push(node('', 'none', ['h'], ['z'])),
    finds: [['error node-operator']],
    runtime: 'refuses',
  },
  {
    name: 'a node without outputs',
    edit: ({ node: nodes }) => nodes.push(node('Relu', 'lost', ['h'], [''])),
    finds: [['error node-outputs', 'has no output', { node: 'lost' }]],
    runtime: 'refuses',
  },
  {
    name: 'an attribute twice',
    edit: withAttributes({ name: 'alpha', type: 1, f: 1 }, { name: 'alpha', type: 1, f: 2 }),
    finds: [['error attribute', 'attribute "alpha" is there twice', { node: 'leaky' }]],
    runtime: 'refuses',
  },
  {
    name: 'an attribute of another type than its value',
    edit: withAttributes({ name: 'alpha', type: 1, i: 1 }),
    finds: [['error attribute', 'attribute "alpha" is of type FLOAT and has a value in i']],
    runtime: 'refuses',
  },
  {
    name: 'an attribute with two values',
    edit: withAttributes({ name: 'alpha', type: 1, f: 1, ints: [1] }),
    finds: [['error attribute']],
    runtime: 'refuses',
  },
  {
    name: 'an attribute without a type',
    edit: withAttributes({ name: 'alpha', f: 1 }),
    finds: [['error attribute', 'attribute "alpha" has no type']],
    runtime: 'refuses',
  },
  {
    name: 'an attribute of a type of tomorrow',
    edit: withAttributes({ name: 'alpha', type: 99, f: 1 }),
    finds: [['error attribute', 'attribute "alpha" has the unknown type 99']],
    runtime: 'refuses',
  },
  {
    name: 'an attribute without a name',
    edit: withAttributes({ type: 1, f: 1 }),
    finds: [['error attribute', 'an attribute has no name']],
    runtime: 'refuses',
  },
  {
    name: 'an attribute of zero, which writers leave out',
    edit: withAttributes({ name: 'alpha', type: 1 }),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'a tensor attribute without a tensor',
    edit: (graph) => {
      const attribute = [{ name: 'value', type: 4 }];
      graph.node[1] = node('Constant', 'constant', [], ['y'], { attribute });
    },
    finds: [['error attribute']],
    runtime: 'refuses',
  },
  {
    name: 'a reference to an attribute outside of a function',
    edit: withAttributes({ name: 'alpha', type: 1, refAttrName: 'slope' }),
    finds: [['warning attribute']],
    runtime: 'runs',
  },
  {
    name: 'a reference to an attribute, with a value',
    edit: withFunctions(
      [
        localFunction({
          attribute: ['slope'],
          node: [
            node('LeakyRelu', 'leaky', ['p'], ['q'], {
              attribute: [{ name: 'alpha', type: 1, f: 1, refAttrName: 'slope' }],
            }),
          ],
        }),
      ],
      { attribute: [{ name: 'slope', type: 1, f: 1 }] },
    ),
    finds: [['warning attribute']],
    runtime: 'runs',
  },
];
