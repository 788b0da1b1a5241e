import { branch, type Case, floats, identity, info, node, weight, withIf } from './case.ts';

/** Names and order. */
export const NAMES: readonly Case[] = [
  {
    name: 'nothing wrong',
    edit: () => undefined,
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'a value of two nodes',
    edit: ({ node: nodes }) => nodes.push(identity('x', 'h', 'again')),
    finds: [
      ['error name-duplicate', 'is defined twice, by node "add" and node "again"', { value: 'h' }],
    ],
    runtime: 'refuses',
  },
  {
    name: 'a value twice of one node',
    edit: ({ node: nodes }) => nodes.push(node('Split', 'split', ['x'], ['s', 's'])),
    finds: [['error name-duplicate', 'is defined twice, both times by node "split"']],
    runtime: 'refuses',
  },
  {
    name: 'a node that gives an initializer',
    edit: ({ node: nodes }) => nodes.push(identity('x', 'w')),
    finds: [['error name-duplicate', 'is defined twice, by an initializer and node "to_w"']],
    runtime: 'refuses',
  },
  {
    name: 'an input twice',
    edit: ({ input }) => input.push(info('x')),
    finds: [['error name-duplicate', 'is defined twice, both times by an input']],
    runtime: 'refuses',
  },
  {
    name: 'an initializer twice',
    edit: ({ initializer }) => initializer.push(weight('w', { rawData: floats(7, 7) })),
    finds: [['error name-duplicate', 'is defined twice, both times by an initializer']],
    runtime: 'runs',
    difference: 'readers disagree which one counts',
  },
  {
    name: 'two nodes of one name',
    edit: ({ node: nodes }) => Object.assign(nodes[1] ?? {}, { name: 'add' }),
    finds: [['error name-duplicate', 'another node has the same name', { node: 'add' }]],
    runtime: 'refuses',
  },
  {
    name: 'nodes without names',
    edit: ({ node: nodes }) => nodes.map((each) => Object.assign(each, { name: '' })),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'a name that nothing defines',
    edit: ({ node: nodes }) => Object.assign(nodes[0] ?? {}, { input: ['x', 'nothing'] }),
    finds: [['error name-undefined', 'reads "nothing", which nothing defines', { node: 'add' }]],
    runtime: 'refuses',
  },
  {
    name: 'nodes in the wrong order',
    edit: ({ node: nodes }) => nodes.reverse(),
    finds: [['warning node-order', 'reads "h" before node "add" defines it', { node: 'relu' }]],
    runtime: 'runs',
  },
  {
    name: 'a cycle',
    edit: ({ node: nodes }) => {
      nodes[0] = node('Add', 'add', ['x', 'late'], ['h']);
      nodes.push(identity('y', 'late', 'back'));
    },
    finds: [
      [
        'error node-cycle',
        'needs itself: a cycle of 3, "add" ← "back" ← "relu" ← "add"',
        { node: 'add' },
      ],
    ],
    runtime: 'refuses',
  },
  {
    name: 'a node that reads its own output',
    edit: ({ node: nodes }) => Object.assign(nodes[0] ?? {}, { input: ['x', 'h'] }),
    finds: [['error node-cycle', 'reads its own output', { node: 'add' }]],
    runtime: 'refuses',
  },
  {
    name: 'a branch that gives a value from outside',
    edit: withIf(branch('h', [])),
    finds: [
      [
        'error graph-outputs',
        'is an output, but a value of an outer graph',
        { graph: 'if then_branch', value: 'h' },
      ],
    ],
    runtime: 'refuses',
  },
  {
    name: 'a branch with a node that has a name from outside',
    edit: withIf(branch('t', [identity('x', 'h', 'inner'), identity('h', 't')])),
    finds: [['error name-shadowed', 'node "inner" has the name of a value outside']],
    runtime: 'refuses',
  },
  {
    name: 'a branch with an initializer that has a name from outside',
    edit: withIf(branch('t', [identity('w', 't')], { initializer: [weight('w')] })),
    finds: [['warning name-shadowed', 'an initializer has the name of a value outside']],
    runtime: 'runs',
  },
  {
    name: 'branches that use the same names',
    edit: withIf(branch('e', [identity('h', 'e')])),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'a branch that reads a later value from outside',
    edit: (graph, model) => {
      withIf(branch('t', [identity('late', 't')]))(graph, model);
      graph.node.push(identity('x', 'late'));
    },
    finds: [
      ['warning node-order', 'reads "late" before node "to_late" defines it', { node: 'if' }],
    ],
    runtime: 'runs',
  },
  {
    name: 'a branch that reads what its node gives',
    edit: withIf(branch('t', [identity('y', 't')])),
    finds: [['error node-cycle', 'reads its own output', { node: 'if' }]],
    runtime: 'refuses',
  },
  {
    name: 'a cycle through a branch',
    edit: (graph, model) => {
      withIf(branch('t', [identity('late', 't')]))(graph, model);
      graph.node.push(identity('y', 'late'));
    },
    finds: [['error node-cycle', 'needs itself: a cycle of 2, "if" ← "to_late" ← "if"']],
    runtime: 'refuses',
  },
  {
    name: 'a branch in the wrong order',
    edit: withIf(branch('t', [identity('m', 't'), identity('h', 'm')])),
    finds: [['error node-order', undefined, { graph: 'if then_branch', node: 'to_t' }]],
    runtime: 'refuses',
  },
  {
    name: 'a branch that reads a name that nothing defines',
    edit: withIf(branch('t', [identity('nothing', 't')])),
    finds: [['error name-undefined']],
    runtime: 'refuses',
  },
  {
    name: 'a name of a branch, read outside',
    edit: (graph, model) => {
      withIf(branch('t', [identity('h', 't')]))(graph, model);
      graph.node.push(identity('t', 'z'));
    },
    finds: [['error name-undefined', 'reads "t", which nothing defines', { node: 'to_z' }]],
    runtime: 'refuses',
  },
];
