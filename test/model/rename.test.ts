import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../src/external-data/open-model.ts';
import type { Model } from '../../src/model/model.ts';
import { renameValues, takenNames } from '../../src/model/rename.ts';
import { syncModel } from '../../src/model/sync.ts';
import type { Value } from '../../src/model/value.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { bytesOf } from '../proto/payloads.ts';
import { writeModel } from '../support/model-builder.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

type Edit = (proto: onnx.IModelProto, graph: onnx.IGraphProto) => void;

interface Described {
  readonly text: string;
  readonly edit?: Edit;
}

let count = 0;

function write({ text, edit }: Described): string {
  return writeModel(scratch(`${count++}`), text, edit === undefined ? {} : { edit });
}

/** The model that is read back after `change`: through a file, so that messages are decoded when they have to be. */
function changed(described: Described, change: (model: Model) => void): Buffer {
  using opened = openModel(write(described));
  change(opened.model);
  return Buffer.from(bytesOf(syncModel(opened.model)));
}

function valueNamed(model: Model, name: string): Value {
  const value = model.graph.values.get(name);
  if (value === undefined) throw new Error(`no value ${name}`);
  return value;
}

function rename(model: Model, names: Readonly<Record<string, string>>): void {
  renameValues(
    model,
    new Map(Object.entries(names).map(([from, to]) => [valueNamed(model, from), to] as const)),
  );
}

/**
 * Names `i`, `w` and `o` everywhere a model can mention an input, its default and an output. Where the letters stand
 * themselves they are no names of values: metadata, kinds of parameters, values of functions and initialization.
 */
function everywhere(i: string, w: string, o: string): Described {
  const text = `
input ${i}: fp32[4]
input ${w}: fp32[4]
input c: bool[]
output ${o}: fp32[4]
output z: fp32[4]
value ${o}: fp32[4]
value ${i}: fp32[4]
weight ${w}: fp32[4] = random(1)
h = Add(${i}, ${w}) @add
${o} = Neg(h) @neg
z = If(c) @if
  then_branch:
    output t: fp32[4]
    value ${i}: fp32[4]
    u = Mul(${i}, ${o})
    t = If(c)
      then_branch:
        output ${w}: fp32[4]
      else_branch:
        output e
        e = Identity(${i})
  else_branch:
    output x
    x = local.F(h)
function local.F(a) -> b
  input_of_f = Neg(a)
  b = Neg(input_of_f)
`;
  return {
    text,
    edit: (proto, graph) => {
      graph.quantizationAnnotation = [
        {
          tensorName: o,
          quantParameterTensorNames: [
            { key: 'SCALE_TENSOR', value: w },
            { key: 'i', value: 'h' },
          ],
        },
      ];
      const [add, neg] = graph.node ?? [];
      for (const node of [add, neg]) {
        if (node === undefined) continue;
        node.metadataProps = [{ key: 'i', value: 'o' }];
        node.deviceConfigurations = [
          {
            configurationId: 'i',
            shardingSpec: (node === add ? [i, 'h', w] : ['h', o]).map((tensorName) => ({
              tensorName,
            })),
          },
        ];
      }
      proto.trainingInfo = [
        {
          initialization: { node: [{ opType: 'Op', input: [], output: ['i', 'w', 'o'] }] },
          algorithm: {
            input: [{ name: 'target' }],
            node: [
              { opType: 'Sub', input: [o, 'target'], output: ['loss'] },
              { opType: 'Neg', input: ['loss'], output: ['step'] },
              {
                opType: 'If',
                input: ['c'],
                output: ['more'],
                attribute: [
                  {
                    name: 'then_branch',
                    type: 5,
                    g: {
                      node: [{ opType: 'Neg', input: [w], output: ['q'] }],
                      output: [{ name: w }],
                    },
                  },
                ],
              },
            ],
            output: [{ name: 'step' }, { name: i }],
          },
          initializationBinding: [{ key: w, value: 'w' }],
          updateBinding: [
            { key: w, value: 'step' },
            { key: w, value: o },
          ],
        },
      ];
    },
  };
}

describe('renaming values of the main graph', () => {
  it('reaches every mention of them, and nothing else', () => {
    const expected = readFileSync(write(everywhere('ids', 'weight', 'logits')));
    const actual = changed(everywhere('i', 'w', 'o'), (model) => {
      rename(model, { i: 'ids', w: 'weight', o: 'logits' });
    });
    expect(actual.equals(expected)).toBe(true);
  });

  it('exchanges names, and takes one that another gives up', () => {
    const expected = readFileSync(write(everywhere('w', 'o', 'i')));
    const actual = changed(everywhere('i', 'w', 'o'), (model) => {
      rename(model, { i: 'w', w: 'o', o: 'i' });
      expect(model.graph.inputs.map(({ name }) => name)).toEqual(['w', 'o', 'c']);
    });
    expect(actual.equals(expected)).toBe(true);
  });

  it('and back gives the same bytes, also in steps', () => {
    const before = readFileSync(write(everywhere('i', 'w', 'o')));
    const actual = changed(everywhere('i', 'w', 'o'), (model) => {
      rename(model, { i: 'o', o: 'free' });
      rename(model, { o: 'other', w: 'i' });
      syncModel(model);
      rename(model, { i: 'w', other: 'i', free: 'o' });
    });
    expect(actual.equals(before)).toBe(true);
  });

  it('lets values be found, made and removed by their new names alone', () => {
    using opened = openModel(write(everywhere('i', 'w', 'o')));
    const { model } = opened;
    const { graph } = model;
    const w = valueNamed(model, 'w');
    const h = valueNamed(model, 'h');
    expect(model.names.has('w')).toBe(true);
    rename(model, { w: 'i2', h: 'h2' });
    expect([graph.values.get('w'), graph.values.get('i2')]).toEqual([undefined, w]);
    expect(graph.initializers.get('i2')).toBe(w);
    expect(graph.initializers.has('w')).toBe(false);
    expect([...graph.initializers.keys()]).toEqual(['i2']);
    expect([...graph.values.keys()].sort()).toEqual(['c', 'h2', 'i', 'i2', 'o', 'z']);
    expect([...graph.values.values()].map(({ name }) => name).sort()).toEqual([
      ...['c', 'h2', 'i', 'i2', 'o', 'z'],
    ]);
    expect(model.names.claim('i2')).toBe('i2_1');
    const made = graph.createValue('w');
    expect([graph.values.get('w'), made === w]).toEqual([made, false]);
    const add = h.producer;
    if (add === undefined) throw new Error('no producer');
    expect(add.outputs).toEqual([h]);
    graph.removeNodes(new Set([add]));
    expect([graph.values.has('h'), graph.values.has('h2')]).toEqual([false, false]);
    expect([...graph.values.keys()].sort()).toEqual(['c', 'i', 'i2', 'o', 'w', 'z']);
  });

  it('leaves each value the type that the file states', () => {
    using opened = openModel(write(everywhere('i', 'w', 'o')));
    const { graph } = opened.model;
    const [i, z] = [valueNamed(opened.model, 'i'), valueNamed(opened.model, 'o')];
    graph.renameValues(new Map([[z, 'other']]));
    expect(graph.infos.foreign.size).toBe(0);
    expect([i.info?.type?.tensorType?.elemType, z.info?.type?.tensorType?.elemType]).toEqual([
      1, 1,
    ]);
  });

  it('renames sparse initializers', () => {
    const sparse = (name: string): Described => ({
      text: 'input x: fp32[4]\noutput y\ny = Neg(x)\n',
      edit: (_, graph) => {
        graph.output?.push({ name });
        graph.sparseInitializer = [
          {
            values: { name, dataType: 1, dims: [1], floatData: [1] },
            indices: { dataType: 7, dims: [1], int64Data: [2] },
            dims: [4],
          },
        ];
      },
    });
    const expected = readFileSync(write(sparse('renamed')));
    expect(changed(sparse('s'), (model) => rename(model, { s: 'renamed' })).equals(expected)).toBe(
      true,
    );
  });
});

describe('a name is taken', () => {
  const text = `
input x: fp32[4]
input c: bool[]
output y
output k: fp32[4]
value stale: fp32[4]
weight w: fp32[4]
weight k: fp32[4]
h = Add(x, w) @add
y = If(c) @if
  then_branch:
    output t
    value captured: fp32[4]
    t = Neg(h)
  else_branch:
    output e
    weight v: fp32[4]
    e = Add(x, v)
function local.F(a) -> b
  b = Neg(a)
`;
  const edit: Edit = (proto, graph) => {
    graph.quantizationAnnotation = [{ tensorName: 'annotated' }];
    proto.trainingInfo = [
      {
        initialization: { node: [{ opType: 'Op', output: ['start'] }] },
        algorithm: { node: [{ opType: 'Op', input: ['read'], output: ['step'] }] },
      },
    ];
  };

  it.each([
    ['x', 'an input'],
    ['y', 'an output'],
    ['k', 'an output'],
    ['w', 'an initializer'],
    ['h', 'made by node "add"'],
    ['t', 'an output of the body "then_branch"'],
    ['v', 'an initializer of the body "else_branch"'],
    ['stale', 'described by value_info'],
    ['captured', 'described by value_info'],
    ['annotated', 'named by an annotation or by training'],
    ['read', 'named by an annotation or by training'],
    ['step', 'defined by the training algorithm'],
    ['add', undefined],
    ['a', undefined],
    ['start', undefined],
    ['free', undefined],
  ])('%s is %s', (name, by) => {
    using opened = openModel(write({ text, edit }));
    expect(takenNames(opened.model, new Set([name]), new Set()).get(name)).toBe(by);
  });

  it('not by a value that gives it up, but still by one in a body', () => {
    using opened = openModel(
      write({ text: text.replaceAll('e = ', 'h = ').replace('output e', 'output h'), edit }),
    );
    const taken = (name: string) =>
      takenNames(opened.model, new Set([name]), new Set([name])).get(name);
    expect(taken('x')).toBeUndefined();
    expect(taken('w')).toBeUndefined();
    expect(taken('h')).toBe('an output of the body "else_branch"');
  });
});
