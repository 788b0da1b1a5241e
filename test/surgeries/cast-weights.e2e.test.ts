import { statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../src/external-data/open-model.ts';
import { encodeFloats } from '../../src/kernels/float-types.ts';
import type { onnx } from '../../src/proto/onnx.ts';
import { cli } from '../support/cli.ts';
import { expectClose, runBoth } from '../support/compare-runs.ts';
import { relativeError, type WriteModelOptions, writeModel } from '../support/model-builder.ts';
import {
  initializerBytes,
  printFile,
  runSteps,
  runText,
  type Step,
} from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

let runs = 0;

function run(text: string, options: object, how: WriteModelOptions = {}) {
  return runText(scratch(`${runs++}`), text, [['cast-weights', { ...options }]], how);
}

const TEXT = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
weight up: fp32[64, 128] = random(1)
weight down: fp32[128, 64] = random(2)
weight bias: fp32[64] = random(3)
h = MatMul(x, up) @layer.0.up
d = MatMul(h, down) @layer.0.down
y = Add(d, bias) @layer.0.bias
`;

const castNames = ({ report }: Awaited<ReturnType<typeof run>>) =>
  report.steps.flatMap(({ changes }) => changes.map(({ node }) => node));

describe('what is stored in another type', () => {
  it('takes half, is rounded as ONNX Runtime rounds, and computes the same', async () => {
    for (const to of ['float16', 'bfloat16'] as const) {
      const made = await run(TEXT, { to });
      expect(castNames(made)).toEqual(['up', 'down']);
      const data = made.report.output.files[1]?.byteLength ?? 0;
      expect(data).toBe(2 * 64 * 128 * 2);
      const elements = new Float32Array(new Uint8Array(initializerBytes(made.input, 'up')).buffer);
      const expected = encodeFloats(to === 'float16' ? 10 : 16, elements);
      expect(Buffer.compare(initializerBytes(made.output, 'up'), expected)).toBe(0);
      await expectClose(made, to === 'float16' ? 1e-3 : 1e-2);
    }
  });

  it('comes back in place, and the graph with it', async () => {
    const table = 'weight table: fp32[512, 64] = random(4)\nx = Gather(table, ids) @lookup\nh =';
    const text = TEXT.replace('input x: fp32[rows, 64]', 'input ids: int64[rows]').replace(
      'h =',
      table,
    );
    const there = await run(text, { to: 'float16' });
    const back = await runSteps(there.output, scratch('back'), [
      ['cast-weights', { to: 'float32' }],
    ]);
    expect(back.printed).toBe(printFile(there.input));
    const { before, after } = await runBoth(there.output, back.output);
    const [y, again] = [before.get('y'), after.get('y')];
    if (y === undefined || again === undefined) throw new Error('no output');
    expect(relativeError(again, y)).toBe(0);
    // What fp16 holds, fp32 holds: there is nothing to measure.
    expect(back.report.gateBytesRead).toBe(0);
    expect(there.report.gateBytesRead).toBe((2 * 64 * 128 + 512 * 64) * 4);
  });

  it('is chosen by its name, by a reader, by a role and by its size', async () => {
    const chosen = async (options: object) =>
      castNames(await run(TEXT, { to: 'float16', ...options }));
    expect(await chosen({ include: ['up'] })).toEqual(['up']);
    expect(await chosen({ include: ['layer.*.down'] })).toEqual(['down']);
    expect(await chosen({ exclude: ['*.up'] })).toEqual(['down']);
    expect(await chosen({ minSize: 0 })).toEqual(['up', 'down', 'bias']);
    expect(await chosen({ exclude: ['@head'] })).toEqual(['up']);
    expect(await chosen({ minSize: '64 KiB' })).toEqual([]);
    const nothing = await run(TEXT, { to: 'float16', include: ['left'] });
    expect(nothing.report.steps[0]?.warnings).toEqual(['include "left" matches no node']);
  });

  it('is stored once when two tensors share it', async () => {
    const twice = TEXT.replace(
      'weight bias',
      'weight twin: fp32[64, 128] = copy(up)\nweight bias',
    ).replace('h = MatMul(x, up)', 'g = MatMul(x, twin)\nu = MatMul(x, up)\nh = Sub(u, g)');
    const path = writeModel(scratch('twins'), twice, {
      edit: (_, graph) => {
        const [up, , twin] = graph.initializer ?? [];
        Object.assign(twin ?? {}, { externalData: up?.externalData });
      },
    });
    const made = await runSteps(path, scratch('out'), [['cast-weights', { to: 'float16' }]]);
    expect(made.report.aliases).toBe(1);
    expect(made.report.output.files[1]?.byteLength).toBe(2 * 64 * 128 * 2);
  });

  it('may be saturated', async () => {
    const large = TEXT.replace('random(2)', 'fill(1e6)');
    const declined = await run(large, { to: 'float16', include: ['down'] });
    expect(declined.report.changed).toBe(false);
    expect(declined.declined).toEqual([
      '8192 of 8192 elements are beyond fp16, the largest of magnitude 1000000; overflow=saturate stores them',
    ]);
    const saturated = await run(large, { to: 'float16', overflow: 'saturate' });
    expect(saturated.report.steps[0]?.warnings).toEqual([
      '"down": 8192 of 8192 elements are beyond fp16, the largest of magnitude 1000000; they are saturated',
      'of the weights that are fp16 now, 1 elements become subnormal',
    ]);
    const [low, high] = initializerBytes(saturated.output, 'down');
    expect([low, high]).toEqual([0xff, 0x7b]);
  });

  it('tells what becomes zero or loses digits', async () => {
    const made = await run(
      TEXT.replace('random(2)', 'fill(1e-9)').replace('random(1)', 'fill(1e-6)'),
      {
        to: 'float16',
      },
    );
    expect(made.report.steps[0]?.changes.map(({ what }) => what)).toEqual([
      'fp32 is fp16 now [64, 128], 8192 elements become subnormal',
      'fp32 is fp16 now [128, 64], 8192 elements become 0',
    ]);
    expect(made.report.steps[0]?.warnings).toEqual([
      'of the weights that are fp16 now, 8192 elements become 0, 8192 elements become subnormal',
    ]);
  });
});

/** Gives the first initializer other values, in a field of its message. */
function typedValues(graph: onnx.IGraphProto, field: 'floatData' | 'int32Data'): void {
  const values = { externalData: [], dataLocation: 0, [field]: Array<number>(64 * 128).fill(0.75) };
  Object.assign(graph.initializer?.[0] ?? {}, values);
}

it('numbers in a field of the message are a weight like any other', async () => {
  const edit: WriteModelOptions['edit'] = (_, graph) => typedValues(graph, 'floatData');
  const made = await run(TEXT, { to: 'float16' }, { edit });
  expect(castNames(made)).toEqual(['up', 'down']);
  await expectClose(made, 1e-3);
});

describe('what is left alone', () => {
  const reasons = async (text: string, options: object, how: WriteModelOptions = {}) => {
    const made = await run(text, options, how);
    expect(castNames(made)).not.toContain('up');
    expect(castNames(made)).not.toContain('bias');
    return made.declined[0];
  };

  it('has a name that others rely on', async () => {
    const to = { to: 'float16', include: ['up'] };
    expect(await reasons(TEXT.replace('output y', 'output up\noutput y'), to)).toBe(
      'it is an output',
    );
    const asInput = TEXT.replace('input x', 'input up: fp32[64, 128]\ninput x');
    expect(await reasons(asInput, to)).toBe('it is also an input, which a caller may replace');
    const annotated = await reasons(TEXT, to, {
      edit: (_, graph) => {
        graph.quantizationAnnotation = [{ tensorName: 'up' }];
      },
    });
    expect(annotated).toBe('an annotation or training names it');
  });

  it('has no place to be cast from', async () => {
    const half = TEXT.replaceAll('fp32', 'fp16');
    const cast = half.replace('h = MatMul(x, up)', 'w = Cast(up) {to: 10}\nh = MatMul(x, w)');
    const typed = await reasons(
      cast.replace('up: fp16', 'up: bf16'),
      { to: 'float16', include: ['up'] },
      { edit: (_, graph) => typedValues(graph, 'int32Data') },
    );
    expect(typed).toBe('it is kept in typed protobuf fields');
    const few = TEXT.replace('bias: fp32[64]', 'bias: fp32[1]');
    const small = await run(few, { to: 'float16', include: ['bias'], minSize: 0 });
    expect(small.declined).toEqual(['its few bytes lie in the graph itself']);
  });

  it('is computed with in a type that takes no more', async () => {
    const half = TEXT.replaceAll('fp32', 'fp16');
    expect(await reasons(half, { to: 'bfloat16' })).toBe(
      'layer.0.up computes in fp16: stored as bf16 it would take no less',
    );
    const cast = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
weight up: bf16[64, 64] = random(1)
w = Cast(up) @widen {to: 1}
y = MatMul(x, w)
`;
    expect(await reasons(cast, { to: 'float16' })).toBe(
      'widen casts it to a type that is not fp16',
    );
  });

  it('is made in the same run', async () => {
    const steps: Step[] = [
      ['cast-weights', { to: 'float16', include: ['up'] }],
      ['cast-weights', { to: 'bfloat16', include: ['up'] }],
      ['quantize-matmul', { include: ['layer.0.*'] }],
    ];
    const made = await runText(scratch('chain'), TEXT, steps);
    expect(made.declined).toEqual([
      'up_cast casts it to a type that is not bf16',
      'its weight passes through a Cast',
    ]);
    // The scales of `down` are as the operator wants them.
    expect(made.printed).toContain('weight down_scales: fp32[64, 4]');
  });
});

it('a weight that takes its type in place is quantized in the next run', async () => {
  const stored = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
weight W: fp16[64, 64] = random(1)
w = Cast(W) {to: 1}
y = MatMul(x, w) @node
`;
  const both: Step[] = [['cast-weights', { to: 'float32' }], 'quantize-matmul'];
  const made = await runText(scratch('both'), stored, both);
  expect(made.declined).toEqual([
    'its weight is being made in this run (cast); quantize it in the next',
  ]);
  const next = await runSteps(made.output, scratch('next'), ['quantize-matmul']);
  expect(next.report.steps[0]?.changes).toHaveLength(1);
});

describe('from the command line', () => {
  const apply = (path: string, surgery: string) => {
    const out = scratch(`cli-${runs++}`);
    return { out, ...cli(['apply', path, '-o', out, '--surgery', surgery]) };
  };

  it('says what it did, and what it must know', () => {
    const path = writeModel(scratch('cli'), TEXT);
    const done = apply(path, 'cast-weights:to=float16');
    expect(done).toMatchObject({
      status: 0,
      stderr:
        'cast-weights: up and 1 more: fp32 is fp16 now [64, 128], 1 elements become subnormal\n' +
        'warning: of the weights that are fp16 now, 3 elements become subnormal\n',
    });
    expect(statSync(join(done.out, 'model.onnx.data')).size).toBe(2 * 64 * 128 * 2);
    using opened = openModel(join(done.out, 'model.onnx'));
    expect(opened.model.graph.initializers.get('up')?.tensor?.dtype).toBe(10);
    expect(apply(path, 'cast-weights')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('needs the option "to"'),
    });
    expect(apply(path, 'cast-weights:to=float32').status).toBe(1);
  });

  it('refuses operator sets whose Cast is another', () => {
    const path = writeModel(scratch('cli'), `opset 12\n${TEXT}`);
    expect(apply(path, 'cast-weights:to=float16').status).toBe(0);
    expect(apply(path, 'cast-weights:to=bfloat16')).toMatchObject({
      status: 4,
      stderr: expect.stringContaining('from operator set 13 on, the model imports 12'),
    });
  });
});
