import { type Case, identity, localFunction, node, withFunctions } from './case.ts';

/** Functions. */
export const FUNCTIONS: readonly Case[] = [
  {
    name: 'a call',
    edit: withFunctions([localFunction()]),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'a call of an overload',
    edit: withFunctions([localFunction(), localFunction({ overload: 'v2' })], { overload: 'v2' }),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'a call of an overload that is not there',
    edit: withFunctions([localFunction()], { overload: 'v2' }),
    finds: [['error function-missing']],
    runtime: 'refuses',
  },
  {
    name: 'a call of a function that is not there',
    edit: withFunctions([localFunction({ name: 'G' })]),
    finds: [['warning function-missing']],
    runtime: 'refuses',
    difference: 'it may be an operator that somebody registers',
  },
  {
    name: 'a function twice',
    edit: withFunctions([localFunction(), localFunction()]),
    finds: [['error function-duplicate', 'is defined twice', { graph: 'local:F' }]],
    runtime: 'runs',
    difference: 'which one counts is not said anywhere',
  },
  {
    name: 'a function without a name',
    edit: (_, model) => {
      model.functions = [localFunction({ name: '' })];
    },
    finds: [['warning name-empty']],
    runtime: 'runs',
  },
  {
    name: 'a call with too many inputs',
    edit: withFunctions([localFunction()], { input: ['h', 'x'] }),
    finds: [['error function-arguments', 'has 2 inputs, function "local:F" has 1']],
    runtime: 'refuses',
  },
  {
    name: 'a call with fewer inputs',
    edit: withFunctions([localFunction({ input: ['p', 'more'] })]),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'a call with too many outputs',
    edit: withFunctions([localFunction()], { output: ['y', 'z'] }),
    finds: [['error function-arguments', 'has 2 outputs, function "local:F" has 1']],
    runtime: 'refuses',
  },
  {
    name: 'a call with fewer outputs',
    edit: withFunctions([
      localFunction({ output: ['q', 'r'], node: [identity('p', 'q'), identity('p', 'r')] }),
    ]),
    finds: [['error function-arguments', 'has 1 output, function "local:F" has 2']],
    runtime: 'refuses',
  },
  {
    name: 'a function that calls itself by way of another',
    edit: withFunctions(
      ['F', 'G'].map((name, index) =>
        localFunction({
          name,
          opsetImport: [{ domain: 'local', version: 1 }],
          node: [node(['G', 'F'][index] ?? '', 'on', ['p'], ['q'], { domain: 'local' })],
        }),
      ),
    ),
    finds: [['error function-recursion', 'calls itself: "local:F" → "local:G" → "local:F"']],
    runtime: 'refuses',
  },
  {
    name: 'a function that reads a name that nothing defines',
    edit: withFunctions([localFunction({ node: [identity('nothing', 'q')] })]),
    finds: [['error name-undefined', undefined, { graph: 'local:F', node: 'to_q' }]],
    runtime: 'refuses',
  },
  {
    name: 'a function that reads an initializer of the model',
    edit: withFunctions([localFunction({ node: [node('Add', 'sum', ['p', 'w'], ['q'])] })]),
    finds: [['error name-undefined']],
    runtime: 'runs',
    difference: 'ONNX Runtime inlines it before it looks; this tool and onnx refuse it',
  },
  {
    name: 'a function without an import',
    edit: withFunctions([localFunction({ opsetImport: [] })]),
    finds: [
      [
        'error opset-missing',
        'is of operator set "ai.onnx", which the function does not import',
        { graph: 'local:F', node: 'to_q' },
      ],
    ],
    runtime: 'refuses',
  },
  {
    name: 'a function in the wrong order',
    edit: withFunctions([localFunction({ node: [identity('m', 'q'), identity('p', 'm')] })]),
    finds: [['error node-order']],
    runtime: 'refuses',
  },
  {
    name: 'a default of an attribute, of no type',
    edit: withFunctions([
      localFunction({
        attributeProto: [{ name: 'slope', f: 1 }],
        node: [
          node('LeakyRelu', 'leaky', ['p'], ['q'], {
            attribute: [{ name: 'alpha', type: 1, refAttrName: 'slope' }],
          }),
        ],
      }),
    ]),
    finds: [['error attribute', 'attribute "slope" has no type', { graph: 'local:F' }]],
    runtime: 'refuses',
  },
  {
    name: 'an output of a function that nothing defines',
    edit: withFunctions([localFunction({ output: ['nothing'] })]),
    finds: [['error graph-outputs']],
    runtime: 'refuses',
  },
  {
    name: 'an output of a function that is its input',
    edit: withFunctions([localFunction({ output: ['p'] })]),
    finds: [['error function-output']],
    runtime: 'refuses',
  },
  {
    name: 'an input of a function twice, and one without a name',
    edit: withFunctions([localFunction({ input: ['p', 'p', ''] })]),
    finds: [['error name-duplicate'], ['error name-empty']],
    runtime: 'refuses',
  },
];
