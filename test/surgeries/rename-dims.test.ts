import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { checkRecipe, parseStep } from '../../src/recipes/recipe.ts';
import { expectClose } from '../support/compare-runs.ts';
import { writeModel } from '../support/model-builder.ts';
import { runSteps } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const MODEL = `
input x: fp32[batch, seq]
input c: bool[]
output y: fp32[batch, seq]
output z: fp32[past.seq + seq, k]
value h: fp32[batch, seq]
h = Neg(x)
y = Identity(h)
z = If(c)
  then_branch:
    output t: fp32[batch, seq]
    t = local.F(h)
  else_branch:
    output e: fp32[batch, 4]
    e = Identity(h)
function local.F(a) -> b
  b = Neg(a)
`;

type Dimension = onnx.TensorShapeProto.IDimension;

function shape(...dim: Dimension[]): onnx.ITypeProto {
  return { tensorType: { elemType: 1, shape: { dim } } };
}

/** Puts a symbol in every place that can have one. */
function everywhere(symbol: string) {
  const own = (denotation: string) => shape({ dimParam: symbol, denotation });
  return (proto: onnx.IModelProto) => {
    proto.graph?.valueInfo?.push(
      { name: 'a', type: { sequenceType: { elemType: own('sequence') } } },
      {
        name: 'b',
        type: { optionalType: { elemType: { sequenceType: { elemType: own('both') } } } },
      },
      { name: 'c', type: { mapType: { keyType: 7, valueType: own('map') } } },
      {
        name: 'd',
        type: { sparseTensorType: { elemType: 1, shape: { dim: [{ dimParam: symbol }] } } },
      },
    );
    const [node] = proto.graph?.node ?? [];
    if (node === undefined) throw new Error('no node');
    node.attribute = [
      { name: 'type', type: 13, tp: own('attribute') },
      { name: 'types', type: 14, typeProtos: [own('list')] },
    ];
    node.deviceConfigurations = [
      {
        shardingSpec: [{ shardedDim: [{ simpleSharding: [{ dimParam: symbol, numShards: 2 }] }] }],
      },
    ];
    const [body] = proto.functions ?? [];
    if (body) body.valueInfo = [{ name: 'b', type: own('function') }];
    proto.trainingInfo = [
      { algorithm: { input: [{ name: 'loss', type: own('training') }] } },
      { initialization: { output: [{ name: 'start', type: own('start') }] } },
    ];
  };
}

/** Runs a step on the model with `seq` everywhere and returns what is written, as JSON. */
async function run(step: string) {
  const path = writeModel(scratch('in'), MODEL, { edit: everywhere('seq') });
  const { surgery, options } = parseStep(step);
  const result = await runSteps(path, scratch('out'), [[surgery, options]]);
  const message = (file: string) =>
    JSON.stringify(onnx.ModelProto.decode(readFileSync(file)), (key, value: unknown) =>
      key === 'dimValue' ? String(value) : value,
    );
  const [before, after] = [message(path), result.report.changed ? message(result.output) : ''];
  const [first] = result.report.steps;
  return {
    before,
    after,
    changes: first?.changes,
    declined: result.declined,
    warnings: first?.warnings,
  };
}

it('renames a symbol wherever it can be', async () => {
  const { before, after, changes, warnings } = await run('rename-dims:from=seq,to=sequence');
  expect(changes).toEqual([{ node: 'seq', what: 'renamed to "sequence" in 14 places' }]);
  expect(warnings).toEqual(['"past.seq + seq" mentions "seq" in 1 place and stays as it is']);
  expect(after).toBe(before.replaceAll('"dimParam":"seq"', '"dimParam":"sequence"'));
});

it('fixes a size wherever a symbol can be, but in functions', async () => {
  const { before, after, changes } = await run('rename-dims:from=seq,value=128');
  expect(changes).toEqual([{ node: 'seq', what: 'fixed at 128 in 13 places' }]);
  const fixed = before.replace(
    /"dimParam":"seq"(,"denotation":"(\w+)")?/g,
    (symbol, denotation: string | undefined, place: string | undefined) =>
      place === 'function' ? symbol : `"dimValue":"128"${denotation ?? ''}`,
  );
  expect(after).toBe(fixed);
});

it('exchanges symbols', async () => {
  const { before, after, changes } = await run('rename-dims:from=seq|batch,to=batch|seq');
  expect(changes).toHaveLength(2);
  const swapped = before.replace(/"dimParam":"(seq|batch)"/g, (_, name) =>
    name === 'seq' ? '"dimParam":"batch"' : '"dimParam":"seq"',
  );
  expect(after).toBe(swapped);
});

it('after another surgery gives what two runs give', async () => {
  const text = `
input x: fp32[rows, 128]
output y: fp32[rows, 64]
value h: fp32[rows, 128]
weight W: fp32[128, 64] = random(1)
h = Neg(x)
y = MatMul(h, W) @product
`;
  const rename = ['rename-dims', { from: 'rows', to: 'n' }] as const;
  const one = await runSteps(writeModel(scratch('in'), text), scratch('one'), [
    ['quantize-matmul', { bits: 8, blockSize: 16 }],
    rename,
  ]);
  const first = await runSteps(one.input, scratch('first'), [
    ['quantize-matmul', { bits: 8, blockSize: 16 }],
  ]);
  const second = await runSteps(first.output, scratch('second'), [rename]);
  expect(one.printed).toContain('fp32[n, 64]');
  expect(one.printed).toBe(second.printed);
  await expectClose({ input: first.output, output: one.output }, 0);
});

describe('nothing to do:', () => {
  it.each([
    ['rename-dims:from=gone,to=seq', 'the dimension has this name already'],
    ['rename-dims:from=seq,to=seq', 'the dimension has this name already'],
    ['rename-dims:from=gone,to=seq,merge', 'the dimension has this name already'],
    ['rename-dims:from=bacth,value=1', 'no dimension has this name; did you mean "batch"?'],
  ])('%s', async (step, reason) => {
    const { after, declined } = await run(step);
    expect([after, declined]).toEqual(['', [reason]]);
  });
});

it('fixes no size of a symbol that functions alone have', async () => {
  const path = writeModel(scratch('in'), MODEL, {
    edit: (proto) => {
      const [body] = proto.functions ?? [];
      if (body) body.valueInfo = [{ name: 'b', type: shape({ dimParam: 'own' }) }];
    },
  });
  const steps = [['rename-dims', { from: 'own', value: 1 }]] as const;
  const { report } = await runSteps(path, scratch('out'), steps);
  expect(report.changed).toBe(false);
});

it('makes two symbols one when that is asked for', async () => {
  const { before, after, changes } = await run('rename-dims:from=seq,to=batch,merge');
  expect(changes?.[0]?.what).toBe('renamed to "batch" in 14 places');
  expect(after).toBe(before.replaceAll('"dimParam":"seq"', '"dimParam":"batch"'));
});

describe('is refused:', () => {
  it.each([
    ['rename-dims:to=x', 'surgery rename-dims needs the option "from"', 'from: '],
    ['rename-dims:from=a', 'give either to or value', 'to=NAME renames'],
    ['rename-dims:from=a,to=b,value=1', 'give either to or value', 'to=NAME renames'],
    ['rename-dims:from=a|b,to=c', 'from has 2 entries, to has 1', 'from=a|b,to=c|d'],
    ['rename-dims:from=a,value=1|2', 'from has 1 entries, value has 2', 'value=1|128'],
    ['rename-dims:from=a|a,to=b|c', 'from has "a" twice', 'once'],
    ['rename-dims:from=a|b,to=c|c', 'to has "c" twice', 'merge=true'],
    ['rename-dims:from=a,to=1', '"1" is no name of a dimension', 'value=1'],
    ['rename-dims:from=a,value=0', 'option value: "0" is not an integer from 1', undefined],
    ['rename-dims:from=a,value=b', 'option value: "b" is not an integer from 1', undefined],
  ])('%s', (step, message, hint) => {
    const check = () => checkRecipe({ name: 'r', steps: [parseStep(step)] });
    expect(check).toThrow(UsageError);
    expect(check).toThrow(message);
    if (hint === undefined) return;
    expect(check).toThrow(expect.objectContaining({ hint: expect.stringContaining(hint) }));
  });

  it('a symbol that does not exist', async () => {
    const renaming = run('rename-dims:from=sequ,to=x');
    await expect(renaming).rejects.toThrow(UsageError);
    await expect(renaming).rejects.toMatchObject({ hint: 'did you mean "seq"?' });
  });

  it('the name of other dimensions', async () => {
    const renaming = run('rename-dims:from=seq,to=batch');
    await expect(renaming).rejects.toThrow(PreconditionError);
    await expect(renaming).rejects.toMatchObject({
      message:
        'rename-dims: cannot rename "seq" to "batch", which is the name of 5 other dimensions',
      hint: 'add merge=true if the two always are the same size',
    });
  });
});
