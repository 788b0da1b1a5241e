import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import { onnx } from '../../src/proto/onnx.ts';
import { checkRecipe, parseStep } from '../../src/recipes/recipe.ts';
import { operatorVersion } from '../../src/surgeries/set-opset-imports.ts';
import type { WriteModelOptions } from '../support/model-builder.ts';
import { runText } from '../support/recipe-run.ts';
import { useScratchDirectory } from '../support/scratch-directory.ts';

const scratch = useScratchDirectory();
let count = 0;

type Edit = NonNullable<WriteModelOptions['edit']>;

/** Runs a step and returns what it did, what it left and the messages it wrote. */
async function run(step: string, text: string, edit?: Edit) {
  const { surgery, options } = parseStep(step);
  const { report, output } = await runText(
    scratch(`${count++}`),
    text,
    [[surgery, options]],
    edit === undefined ? {} : { edit },
  );
  const [first] = report.steps;
  return {
    changes: (first?.changes ?? []).map(({ node, what }) => `${node}: ${what}`),
    declined: (first?.declined ?? []).map(({ node, reason }) => `${node}: ${reason}`),
    warnings: first?.warnings ?? [],
    written: report.changed ? onnx.ModelProto.decode(readFileSync(output)) : undefined,
  };
}

function checking(step: string): () => void {
  return () => checkRecipe({ name: 'r', steps: [parseStep(step)] });
}

const BODY = `
input x: fp32[4]
input c: bool[]
output y: fp32[4]
weight w: fp32[4] = random(1)
h = Add(x, w) @add
y = If(c) @if
  then_branch:
    output t
    t = Neg(h) @neg
  else_branch:
    output e
    e = Cast(h) @cast {to: 1}
`;
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

describe('set-opset-imports', () => {
  const text = (opset: number, more = '') => `opset ${opset}\nopset local 1\n${FUNCTION}${more}`;

  it('lowers model and functions as far as their nodes go', async () => {
    const { changes, written } = await run(
      'set-opset-imports:version=14',
      text(15).replace('If(c)', 'local.If(c)').replace('Cast(h)', 'Abs(h)'),
      withFunction((body) => {
        body.opsetImport = [{ domain: 'ai.onnx', version: 17 }];
      }),
    );
    expect(changes).toEqual([
      'the model: opset 15 of ai.onnx is 14 now',
      'function local.F: opset 17 of ai.onnx is 14 now',
    ]);
    expect(written?.opsetImport.map(({ version }) => Number(version))).toEqual([14, 1]);
    const [body] = written?.functions ?? [];
    expect(body?.opsetImport?.map(({ domain, version }) => [domain, Number(version)])).toEqual([
      ['ai.onnx', 14],
    ]);
  });

  it('tells which operators need more, in bodies and functions too', async () => {
    const { declined, changes } = await run(
      'set-opset-imports:version=12',
      text(21).replaceAll('Neg(', 'Abs('),
    );
    const bound = 'opset 21 is the lowest for this model';
    expect(changes).toEqual([]);
    expect(declined).toEqual([
      `add: Add has its form since opset 14; ${bound}`,
      `if: If has its form since opset 21; ${bound}`,
      `neg: Abs has its form since opset 13 (2 nodes); ${bound}`,
      `cast: Cast has its form since opset 21; ${bound}`,
    ]);
  });

  it('looks at a function by what it imports itself', async () => {
    const step = 'set-opset-imports:version=12';
    const plain = text(14).replace(/weight.*?function/s, 'y = local.F(x)\nfunction');
    const older = await run(
      step,
      plain,
      withFunction((body) => {
        body.opsetImport = [{ domain: '', version: 12 }];
      }),
    );
    expect(older.changes).toEqual(['the model: opset 14 of ai.onnx is 12 now']);
    const newer = await run(step, plain);
    expect(newer.declined).toEqual([
      'inner: Neg has its form since opset 13; opset 13 is the lowest for this model',
    ]);
  });

  it('looks at training as at the model', async () => {
    const edit: Edit = (proto) => {
      proto.trainingInfo = [
        { algorithm: { node: [{ opType: 'Identity', input: ['x'], output: ['loss'] }] } },
      ];
    };
    const model = 'opset 21\ninput x: fp32[4]\noutput y\ny = Neg(x)\n';
    const { declined } = await run('set-opset-imports:version=13', model, edit);
    expect(declined).toEqual([
      'Identity → loss: Identity has its form since opset 21; opset 21 is the lowest for this model',
    ]);
  });

  it('knows nothing of operators that ONNX does not have, but for one', async () => {
    const model = (operator: string) =>
      `opset 21\ninput x: fp32[4]\noutput y\nweight w: fp32[4]\ny = ${operator}(x, w) @norm\n`;
    const known = await run('set-opset-imports:version=17', model('SimplifiedLayerNormalization'));
    expect(known.changes).toEqual(['the model: opset 21 of ai.onnx is 17 now']);
    for (const operator of ['toString', 'Normalization']) {
      const { declined } = await run('set-opset-imports:version=17', model(operator));
      expect(declined).toEqual([
        `norm: the imported opset of ai.onnx has no ${operator}: what others have is unknown`,
      ]);
    }
  });

  it('leaves calls of functions to their bodies, whatever the domain', async () => {
    const model = `opset 21\ninput x: fp32[4]\noutput y\ny = Own(x)\n`;
    const { changes } = await run('set-opset-imports:version=17', model, (proto) => {
      const node = [{ opType: 'Neg', input: ['a'], output: ['b'] }];
      const opsetImport = [{ domain: '', version: 17 }];
      proto.functions = [
        { name: 'Own', domain: '', input: ['a'], output: ['b'], node, opsetImport },
      ];
    });
    expect(changes).toEqual(['the model: opset 21 of ai.onnx is 17 now']);
  });

  it.each([
    [21, 22, 'opset 21 is imported: nodes would have to be converted to opset 22'],
    [21, 21, 'opset 21 is imported already'],
    [29, 21, 'opset 29 is newer than the newest known one, 28'],
  ])('from %i to %i is declined', async (from, to, reason) => {
    const model = `opset ${from}\ninput x: fp32[4]\noutput y\ny = Neg(x)\n`;
    const { declined, written } = await run(`set-opset-imports:version=${to}`, model);
    expect(declined).toEqual([expect.stringContaining(`ai.onnx: ${reason}`)]);
    expect(written).toBeUndefined();
  });

  it('gives com.microsoft the version it has', async () => {
    const model = `opset 21\nopset com.microsoft 3\ninput x: fp32[4]\noutput y\ny = com.microsoft.Gelu(x)\n`;
    const step = 'set-opset-imports:domain=com.microsoft,version=1';
    const { changes } = await run(step, model);
    expect(changes).toEqual(['the model: opset 3 of com.microsoft is 1 now']);
    const again = await run(step, model.replace('microsoft 3', 'microsoft 1'));
    expect(again.declined).toEqual(['com.microsoft: opset 1 is imported already']);
    expect(checking('set-opset-imports:domain=com.microsoft,version=2')).toThrow(UsageError);
  });

  it('refuses what it cannot judge', async () => {
    expect(checking('set-opset-imports:domain=ai.onnx.ml,version=1')).toThrow(UsageError);
    expect(checking('set-opset-imports:version=29')).toThrow(UsageError);
    const model = 'opset ai.onnx 21\ninput x: fp32[4]\noutput y\ny = Neg(x)\n';
    const running = run('set-opset-imports:domain=com.microsoft,version=1', model);
    await expect(running).rejects.toThrow(PreconditionError);
    await expect(running).rejects.toMatchObject({ hint: 'it imports ai.onnx' });
  });
});

describe('the version of an operator', () => {
  it.each([
    ['ReduceMean', 17, 13],
    ['ReduceMean', 18, 18],
    ['ReduceMean', 28, 18],
    ['Attention', 22, undefined],
    ['Upsample', 9, 9],
    ['Upsample', 11, 10],
    ['constructor', 21, undefined],
  ])('%s of opset %i', (operator, opset, version) => {
    expect(operatorVersion(operator, opset)).toBe(version);
  });
});
