import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../src/external-data/open-model.ts';
import { cli } from '../support/cli.ts';
import { expectClose } from '../support/compare-runs.ts';
import { type WriteModelOptions, writeModel } from '../support/model-builder.ts';
import { initializerBytes, runText, type TextRun } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();

const TWO = `
input x: fp32[rows, 64]
output y: fp32[rows, 64]
weight A: fp32[64, 64] = random(1)
weight B: fp32[64, 64] = copy(A)
a = MatMul(x, A) @first
y = MatMul(a, B) @second
`;

function dedupe(
  text: string,
  options: Readonly<Record<string, unknown>> = {},
  write: WriteModelOptions = {},
): Promise<TextRun> {
  return runText(scratch(), text, [['dedupe-initializers', options]], write);
}

function changed({ report }: TextRun): string[] {
  return report.steps.flatMap(({ changes }) => changes.map(({ node, what }) => `${node} ${what}`));
}

/** Names of the initializers of the main graph. */
function names(path: string): string[] {
  using opened = openModel(path);
  return [...opened.model.graph.initializers.keys()];
}

describe('what is equal', () => {
  it('is compared to the last byte, and the report says how much that read', async () => {
    const run = await dedupe(TWO);
    expect(changed(run)).toEqual(['B is "A" now (16.0 KiB)']);
    expect(run.report.gateBytesRead).toBeGreaterThanOrEqual(2 * 64 * 64 * 4);
    await expectClose(run, 0);
  });

  it('is not what differs in one bit', async () => {
    for (const at of [0, 9000, 64 * 64 * 4 - 1]) {
      const fill = {
        B: ({ bytes }: { bytes: Uint8Array }) => {
          bytes[at] = (bytes[at] ?? 0) ^ 1;
        },
      };
      const run = await dedupe(TWO, {}, { fill });
      expect(run.report.changed).toBe(false);
    }
  });

  it('needs no reading where two tensors describe one range', async () => {
    const run = await dedupe(
      TWO,
      {},
      {
        edit: (_, graph) => {
          const [a, b] = graph.initializer ?? [];
          if (a?.externalData && b) b.externalData = a.externalData;
        },
      },
    );
    expect(changed(run)).toEqual(['B is "A" now (16.0 KiB)']);
    expect(run.report.gateBytesRead).toBe(0);
  });

  it('can be in any field of the message', async () => {
    const text = `
input x: int64[rows]
output y: int64[rows]
weight A: int64[1] = list(-3)
weight B: int64[1] = list(-3)
weight C: int64[1] = list(-4)
a = Add(x, A)
b = Add(a, C)
y = Add(b, B)
`;
    const edit: WriteModelOptions['edit'] = (_, { initializer }) => {
      const [, b, c] = initializer ?? [];
      for (const [tensor, value] of [[b, -3] as const, [c, -4] as const]) {
        if (tensor) Object.assign(tensor, { rawData: null, int64Data: [value] });
      }
    };
    const run = await dedupe(text, { minSize: 0 }, { edit });
    expect(changed(run)).toEqual(['B is "A" now (8 B)']);
    await expectClose(run, 0);
  });
});

describe('names that stay', () => {
  const annotate: WriteModelOptions['edit'] = (_, graph) => {
    graph.quantizationAnnotation = [
      { tensorName: 'a', quantParameterTensorNames: [{ key: 'SCALE_TENSOR', value: 'B' }] },
    ];
  };

  it('go on over the same bytes when an annotation has them', async () => {
    const run = await dedupe(TWO, {}, { edit: annotate });
    expect(changed(run)).toEqual(['B shares the bytes of "A" (16.0 KiB)']);
    expect(run.printed).toContain('weight B: fp32[64, 64] = bytes(A)');
    expect(run.report.output.files[1]?.byteLength).toBe(64 * 64 * 4);
    await expectClose(run, 0);
  });

  it('go on where a node says how they are spread over devices', async () => {
    const run = await dedupe(
      TWO,
      {},
      {
        edit: (_, graph) => {
          const shardingSpec = [{ tensorName: 'B', device: [0, 1] }];
          const configuration = { configurationId: 'two', shardingSpec };
          Object.assign(graph.node?.[1] ?? {}, { deviceConfigurations: [configuration] });
        },
      },
    );
    expect(changed(run)).toEqual(['B shares the bytes of "A" (16.0 KiB)']);
  });

  it('keep their bytes where those are inside the .onnx', async () => {
    const run = await dedupe(TWO, {}, { edit: annotate, data: null });
    expect(run.report.changed).toBe(false);
    expect(run.declined).toEqual([
      'equal to another, but stored on its own: an annotation or training names it, and only tensors above 8.00 KiB in data files share bytes',
    ]);
  });

  it('do not keep others from going', async () => {
    const third = TWO.replace('y = MatMul(a, B)', 'b = MatMul(a, B)').concat(
      'weight C: fp32[64, 64] = copy(A)\ny = MatMul(b, C) @third\n',
    );
    const text = third.replace('output y', 'input A: fp32[64, 64]\noutput y');
    const run = await dedupe(text);
    expect(changed(run)).toEqual([
      'B shares the bytes of "A" (16.0 KiB)',
      'C is "B" now (16.0 KiB)',
    ]);
    await expectClose(run, 0);
  });
});

describe('bodies', () => {
  const body = (weights: string) => `
input x: fp32[rows, 64]
input c: bool[]
output y: fp32[rows, 64]
weight W: fp32[64, 64] = random(1)
h = MatMul(x, W)
y = If(c)
  then_branch:
    output t
    ${weights}
    t = MatMul(h, V)
  else_branch:
    output e
    e = Identity(h)
`;

  it('read the outer twin, of the same name or another', async () => {
    const other = await dedupe(body('weight V: fp32[64, 64] = copy(W)'));
    expect(changed(other)).toEqual(['V is "W" now (16.0 KiB)']);
    await expectClose(other, 0);
  });

  it('read it under the same name too, which the inner one covers', async () => {
    const text = body('weight W: fp32[64, 64] = copy(W)').replace('MatMul(h, V)', 'MatMul(h, W)');
    const run = await dedupe(text);
    expect(changed(run)).toEqual(['W is "W" now (16.0 KiB)']);
    expect(run.printed.match(/weight/g)).toHaveLength(1);
  });

  it('do not where their own values cover its name', async () => {
    const run = await dedupe(
      body('weight V: fp32[64, 64] = copy(W)\n    W = Identity(h)').replace(
        't = MatMul(h, V)',
        't = MatMul(W, V)',
      ),
    );
    expect(changed(run)).toEqual(['V shares the bytes of "W" (16.0 KiB)']);
  });
});

it('leaves small ones alone unless asked', async () => {
  const text = TWO.replaceAll('64, 64', '8, 8').replaceAll('rows, 64', 'rows, 8');
  expect((await dedupe(text)).report.changed).toBe(false);
  const run = await dedupe(text, { minSize: '256' });
  expect(changed(run)).toEqual(['B is "A" now (256 B)']);
});

describe('equal bytes of another shape', () => {
  const text = TWO.replace('= copy(A)', '= random(2)').concat(
    'weight F: fp32[4096] = copy(A)\noutput F: fp32[4096]\n',
  );

  it('stay two tensors, by default with bytes of their own', async () => {
    expect((await dedupe(text)).report.changed).toBe(false);
    const run = await dedupe(text, { shapes: 'any' });
    expect(changed(run)).toEqual(['F shares the bytes of "A" (16.0 KiB)']);
    expect(initializerBytes(run.output, 'F')).toEqual(initializerBytes(run.output, 'A'));
    await expectClose(run, 0);
  });

  it('cannot be shared inside a .onnx', async () => {
    const run = await dedupe(text, { shapes: 'any' }, { data: null });
    expect(run.report.changed).toBe(false);
    expect(run.declined.join()).toContain('it is an output');
  });
});

it('runs from the command line, under the name of the pass of onnx-ir too', () => {
  const path = writeModel(scratch('model'), TWO);
  const out = scratch('out');
  const step = 'DeduplicateInitializers:min-size=1KiB,shapes=any';
  const { status, stdout, stderr } = cli(['apply', path, '-o', out, '--surgery', step]);
  expect(stderr).toBe('dedupe-initializers: B: is "A" now (16.0 KiB)\n');
  expect(stdout).toMatch(/^model\.onnx .* → .*out/);
  expect(status).toBe(0);
  expect(names(join(out, 'model.onnx'))).toEqual(['A']);
  const again = cli([
    'apply',
    dirname(path),
    '-o',
    out,
    '--surgery',
    'dedupe-initializers:shapes=all',
  ]);
  expect(again.status).toBe(2);
});
