import { DType } from '../../../src/dtypes.ts';
import { type Case, info, node, weight } from './case.ts';

/** Versions and imports. */
export const VERSIONS: readonly Case[] = [
  {
    name: 'no ir_version',
    edit: (_, model) => delete model.irVersion,
    finds: [['error ir-version', 'the model has no ir_version']],
    runtime: 'refuses',
  },
  {
    name: 'ir_version 0',
    edit: (_, model) => Object.assign(model, { irVersion: 0 }),
    finds: [['warning ir-version']],
    runtime: 'runs',
  },
  {
    name: 'an ir_version of tomorrow',
    edit: (_, model) => Object.assign(model, { irVersion: 15 }),
    finds: [['warning ir-version']],
    runtime: 'refuses',
    difference: 'another version of ONNX Runtime may read it',
  },
  {
    name: 'no imports',
    edit: (_, model) => Object.assign(model, { opsetImport: [] }),
    finds: [
      [
        'error opset-missing',
        'is of operator set "ai.onnx", which the model does not import',
        { node: 'add' },
      ],
    ],
    runtime: 'refuses',
  },
  {
    name: 'no import of a set that ONNX Runtime brings along',
    edit: ({ node: nodes }) => {
      nodes[1] = node('Gelu', 'gelu', ['h'], ['y'], { domain: 'com.microsoft' });
    },
    finds: [['error opset-missing']],
    runtime: 'runs',
    difference: 'this tool and onnx refuse it',
  },
  {
    name: 'one import twice, in two spellings',
    edit: (_, { opsetImport }) => opsetImport.push({ domain: 'ai.onnx', version: 21 }),
    finds: [['warning opset-duplicate', 'imports "ai.onnx" in version 21 twice']],
    runtime: 'runs',
  },
  {
    name: 'two versions of one set',
    edit: (_, { opsetImport }) => opsetImport.push({ domain: '', version: 18 }),
    finds: [['error opset-duplicate', 'imports "ai.onnx" in versions 21 and 18']],
    runtime: 'runs',
    difference: 'which one counts is not said anywhere',
  },
  {
    name: 'version 0 of a set',
    edit: (_, { opsetImport }) => Object.assign(opsetImport[0] ?? {}, { version: 0 }),
    finds: [['error opset-version']],
    runtime: 'refuses',
  },
  {
    name: 'metadata twice',
    edit: (_, model) => {
      model.metadataProps = [{ key: 'author' }, { key: 'author' }];
    },
    finds: [['warning metadata', 'metadata has "author" twice']],
    runtime: 'runs',
  },
];

/** Inputs, outputs, and what is said of values. */
export const INTERFACES: readonly Case[] = [
  {
    name: 'an input without a type',
    edit: ({ input }) => {
      input[0] = { name: 'x' };
    },
    finds: [['error graph-type', 'the input has no type', { value: 'x' }]],
    runtime: 'refuses',
  },
  {
    name: 'an input without an element type',
    edit: ({ input }) => {
      input[0] = { name: 'x', type: { tensorType: {} } };
    },
    finds: [['error graph-type']],
    runtime: 'refuses',
  },
  {
    name: 'a sequence of nothing',
    edit: ({ input }) => {
      input[0] = { name: 'x', type: { sequenceType: {} } };
    },
    finds: [['error graph-type']],
    runtime: 'refuses',
  },
  {
    name: 'an input without a shape',
    edit: ({ input }) => {
      input[0] = { name: 'x', type: { tensorType: { elemType: DType.FLOAT } } };
    },
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'an output without a type',
    edit: ({ output }) => {
      output[0] = { name: 'y' };
    },
    finds: [['warning graph-type', 'the output has no type', { value: 'y' }]],
    runtime: 'runs',
  },
  {
    name: 'an input with a default',
    edit: ({ input }) => input.push(info('w')),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'an input with a default of another shape',
    edit: ({ input }) => input.push(info('w', DType.FLOAT, [3])),
    finds: [['error graph-type', 'the input has shape [3], its initializer [2]', { value: 'w' }]],
    runtime: 'refuses',
  },
  {
    name: 'an input with a default of another type',
    edit: ({ input }) => input.push(info('w', DType.INT64)),
    finds: [['error graph-type', 'the input is int64, its initializer fp32']],
    runtime: 'refuses',
  },
  {
    name: 'an output that nothing defines',
    edit: ({ output }) => output.push(info('nothing')),
    finds: [['error graph-outputs', 'is an output, but nothing defines it', { value: 'nothing' }]],
    runtime: 'refuses',
  },
  {
    name: 'no outputs',
    edit: (graph) => Object.assign(graph, { output: [] }),
    finds: [['error graph-outputs']],
    runtime: 'refuses',
  },
  {
    name: 'an output twice',
    edit: ({ output }) => output.push(info('y')),
    finds: [['warning graph-outputs']],
    runtime: 'runs',
  },
  {
    name: 'an input and an initializer as outputs',
    edit: ({ output }) => output.push(info('x'), info('w')),
    finds: [],
    runtime: 'runs',
  },
  {
    name: 'an input without a name',
    edit: ({ input }) => input.push(info('')),
    finds: [['error name-empty']],
    runtime: 'refuses',
  },
  {
    name: 'an output without a name',
    edit: ({ output }) => output.push(info('')),
    finds: [['error name-empty']],
    runtime: 'refuses',
  },
  {
    name: 'an initializer without a name',
    edit: ({ initializer }) => initializer.push(weight('')),
    finds: [['warning name-empty', 'an initializer has no name']],
    runtime: 'runs',
  },
  {
    name: 'value_info of no value, twice',
    edit: (graph) => Object.assign(graph, { valueInfo: [info('gone'), info('gone too')] }),
    finds: [['note value-info', undefined, { value: 'gone' }]],
    runtime: 'runs',
  },
  {
    name: 'two entries of value_info',
    edit: (graph) => Object.assign(graph, { valueInfo: [info('h'), info('h')] }),
    finds: [['warning value-info', 'has two entries in value_info', { value: 'h' }]],
    runtime: 'runs',
  },
  {
    name: 'an annotation of nothing, by nothing',
    edit: (graph) => {
      const quantParameterTensorNames = [{ key: 'SCALE_TENSOR', value: 'scale' }];
      graph.quantizationAnnotation = [{ tensorName: 'gone', quantParameterTensorNames }];
    },
    finds: [
      ['warning annotation'],
      ['warning annotation', 'its "SCALE_TENSOR" is "scale", which nothing defines'],
    ],
    runtime: 'runs',
  },
];
