import { createHash } from 'node:crypto';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DType } from '../../src/dtypes.ts';
import type { LatheError } from '../../src/errors.ts';
import { checkModel } from '../../src/report/check.ts';
import { setExternal, tinyWeights, writeTiny } from '../cli/tiny-model.ts';
import { failure, useWorkspace } from '../external-data/workspace.ts';
import {
  branch,
  brokenModel,
  floats,
  identity,
  localFunction,
  node,
  weight,
  withFunctions,
  withIf,
} from './broken/case.ts';

const workspace = useWorkspace();

async function digest(model = workspace.path('m'), settings: { force?: boolean } = {}) {
  const path = workspace.path('digests');
  const report = await checkModel(model, { digest: { path, ...settings } });
  const findings = report.findings.map(({ severity, code, where, message }) => {
    return { severity, code, name: where.tensor ?? where.file, message };
  });
  return { ...report, findings, codes: findings.map(({ code, name }) => `${code} ${name}`) };
}

function lines(): Record<string, unknown>[] {
  const text = readFileSync(workspace.path('digests'), 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line));
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The digests of a model's tensors, by name. */
async function digestsOf(model: Uint8Array): Promise<Record<string, unknown>> {
  await digest(workspace.write('model.onnx', model), { force: true });
  return Object.fromEntries(
    lines()
      .slice(1, -1)
      .map(({ name, sha256 }) => [name, sha256]),
  );
}

describe('an interrupted run', () => {
  /** Interrupts the run when it has read `share` of its bytes. */
  function interrupt(share: number): Promise<LatheError> {
    const controller = new AbortController();
    const { signal } = controller;
    const path = workspace.path('digests');
    const onProgress = (done: number, total: number) => {
      // After this call, so that the last one is followed by the manifest.
      if (done >= share * total) queueMicrotask(() => controller.abort());
    };
    return failure(() => checkModel(workspace.path('m'), { digest: { path, onProgress, signal } }));
  }

  it.each([0, 0.5, 1])('leaves no manifest, at %d of the bytes', async (share) => {
    writeTiny(workspace.path('m'));
    expect((await interrupt(share)).code).toBe('ERR_CANCELLED');
    expect(readdirSync(workspace.path())).toEqual(['m']);
  });

  it('compares no further', async () => {
    writeTiny(workspace.path('m'));
    await digest();
    expect((await interrupt(1)).code).toBe('ERR_CANCELLED');
  });
});

describe('a manifest', () => {
  it('says what the model is, what each tensor is and where, and how many there are', async () => {
    const path = writeTiny(workspace.path('m'));
    const report = await digest();
    const model = readFileSync(path);
    const bytes = Buffer.from(tinyWeights().buffer);
    expect(report).toMatchObject({
      findings: [],
      digest: { action: 'written', tensors: 2, byteLength: model.length + bytes.length },
    });
    const file = 'model.onnx.data';
    const byteLength = 12_288;
    expect(lines()).toEqual([
      {
        kind: 'onnx-lathe digests',
        schemaVersion: 1,
        model: { name: 'model.onnx', byteLength: model.length, sha256: sha256(model) },
      },
      { name: 'table', file, byteOffset: 0, byteLength, sha256: sha256(bytes.subarray(0, 12_288)) },
      {
        ...{ name: 'weight', file, byteOffset: 12_288, byteLength },
        sha256: sha256(bytes.subarray(12_288)),
      },
      { tensors: 2 },
    ]);
    expect(readdirSync(workspace.path())).toEqual(['digests', 'm']);
  });

  it('is the same whichever field or file has the value', async () => {
    const numbers = Array.from({ length: 100 }, (_, index) => index / 8);
    const name = (graph: { initializer: object[] }, fields: object) =>
      graph.initializer.push({ name: 'v', dataType: DType.FLOAT, dims: [100], ...fields });
    const typed = await digestsOf(brokenModel((graph) => name(graph, { floatData: numbers })));
    const raw = await digestsOf(
      brokenModel((graph) => name(graph, { rawData: floats(...numbers) })),
    );
    workspace.write('v.data', floats(...numbers));
    const external = await digestsOf(
      brokenModel((graph) => {
        const externalData = [{ key: 'location', value: 'v.data' }];
        name(graph, { dataLocation: 1, externalData });
      }),
    );
    expect(typed).toEqual({ w: sha256(floats(1, 2)), v: sha256(floats(...numbers)) });
    expect(raw).toEqual(typed);
    expect(external).toEqual(typed);
  });

  it('has small integers as they would be in raw_data, and strings with their lengths', async () => {
    const digests = await digestsOf(
      brokenModel(({ initializer }) => {
        initializer.push(
          { name: 'i', dataType: 3, dims: [3], int32Data: [1, -2, 3] },
          {
            name: 'ab',
            dataType: DType.STRING,
            dims: [2],
            stringData: [Buffer.from('ab'), Buffer.of()],
          },
          {
            name: 'b',
            dataType: DType.STRING,
            dims: [2],
            stringData: [Buffer.from('a'), Buffer.from('b')],
          },
          { name: 'none', dataType: DType.FLOAT, dims: [0] },
        );
      }),
    );
    expect(digests['i']).toBe(sha256(Uint8Array.of(1, 254, 3)));
    expect(digests['ab']).not.toBe(digests['b']);
    expect(digests['none']).toBe(sha256(Buffer.of()));
  });

  it('is not replaced without force, and is with it', async () => {
    writeTiny(workspace.path('m'));
    writeFileSync(workspace.path('digests'), 'mine');
    const error = await failure(() => digest());
    expect(error).toMatchObject({ name: 'FormatError', code: 'ERR_UNSUPPORTED' });
    expect(error.message).toMatch(/digests: line 1 is not one of a digest manifest$/);
    expect(readFileSync(workspace.path('digests'), 'utf8')).toBe('mine');
    expect(await digest(undefined, { force: true })).toMatchObject({
      digest: { action: 'written' },
    });
    expect(lines()).toHaveLength(4);
  });

  it('is not written of a model that cannot be read', async () => {
    truncateSync(`${writeTiny(workspace.path('m'))}.data`, 20_000);
    const report = await digest();
    expect(report.codes).toEqual(['external-bounds weight', 'external-unused model.onnx.data']);
    expect(report.digest).toMatchObject({ action: 'refused', byteLength: 0 });
    expect(readdirSync(workspace.path())).toEqual(['m']);
  });

  it('is not written of values that are not what their shapes ask for', async () => {
    const model = brokenModel(({ initializer }) =>
      initializer.push(weight('short', { rawData: floats(1) })),
    );
    workspace.write('m/model.onnx', model);
    const report = await digest();
    expect(report.codes).toEqual(['tensor-bytes short']);
    expect(report.digest).toMatchObject({ action: 'refused' });
  });

  it('is not written of files that change meanwhile', async () => {
    const path = writeTiny(workspace.path('m'));
    const onProgress = () => appendFileSync(`${path}.data`, 'x');
    const settings = { digest: { path: workspace.path('digests'), onProgress } };
    const error = await failure(() => checkModel(path, settings));
    expect(error).toMatchObject({ name: 'ResourceError', code: 'ERR_CHANGED' });
    expect(readdirSync(workspace.path())).toEqual(['m']);
  });

  it('does not take the place of a file that is there by then', async () => {
    const path = writeTiny(workspace.path('m'));
    const onProgress = () => writeFileSync(workspace.path('digests'), 'mine');
    const settings = { digest: { path: workspace.path('digests'), onProgress } };
    const error = await failure(() => checkModel(path, settings));
    expect(error).toMatchObject({ name: 'UsageError', code: 'ERR_OUTPUT_EXISTS' });
    expect(readFileSync(workspace.path('digests'), 'utf8')).toBe('mine');
    expect(readdirSync(workspace.path())).toEqual(['digests', 'm']);
  });

  it('has the parts of sparse tensors, and those of attributes and functions', async () => {
    const model = brokenModel((graph, proto) => {
      const tensor = (name: string) => ({ name: 'value', type: 4, t: weight(name) });
      const values = { name: 's', dataType: DType.FLOAT, dims: [1], floatData: [1] };
      const indices = { dataType: DType.INT64, dims: [1], int64Data: [2] };
      graph.sparseInitializer = [{ dims: [4], values, indices }];
      graph.node.push(node('Constant', 'c', [], ['z'], { attribute: [tensor('')] }));
      withFunctions([localFunction({ attributeProto: [tensor('default')] })])(graph, proto);
    });
    expect(Object.keys(await digestsOf(model))).toEqual([
      ...['w', 's', 's indices', 'c.value', 'default'],
    ]);
  });

  it('is none of the model’s files, nor a link to one', async () => {
    const path = writeTiny(workspace.path('m'));
    symlinkSync(`${path}.data`, workspace.path('digests'));
    for (const force of [false, true]) {
      const error = await failure(() => digest(path, { force }));
      expect(error).toMatchObject({ name: 'UsageError', code: 'ERR_OUTPUT_IS_INPUT' });
    }
    expect(readFileSync(`${path}.data`)).toHaveLength(24_576);
  });

  it('is a file in a directory that is there', async () => {
    writeTiny(workspace.path('m'));
    mkdirSync(workspace.path('digests'));
    expect(await failure(() => digest())).toMatchObject({ code: 'ERR_OUTPUT_EXISTS' });
    const path = workspace.path('none', 'digests');
    const error = await failure(() => checkModel(workspace.path('m'), { digest: { path } }));
    expect(error).toMatchObject({ name: 'ResourceError' });
  });
});

describe('a comparison', () => {
  it('finds nothing in the same model', async () => {
    writeTiny(workspace.path('m'));
    await digest();
    expect(await digest()).toMatchObject({
      findings: [],
      digest: { action: 'compared', tensors: 2, byteLength: expect.any(Number) },
    });
  });

  it('finds one byte, and whose it is', async () => {
    const path = writeTiny(workspace.path('m'));
    await digest();
    const data = readFileSync(`${path}.data`);
    data[20_000] = (data[20_000] as number) ^ 1;
    writeFileSync(`${path}.data`, data);
    const { findings } = await digest();
    expect(findings).toEqual([
      {
        severity: 'error',
        code: 'digest-changed',
        name: 'weight',
        message: expect.stringMatching(
          /^has the digest [0-9a-f]{12}…, the manifest says [0-9a-f]{12}…$/,
        ),
      },
    ]);
  });

  it('finds tensors that are missing, new, or of another size', async () => {
    const model = (names: readonly string[], dims: number) =>
      brokenModel((graph) => {
        graph.initializer = names.map((name) => weight(name));
        graph.initializer.push(
          weight('last', { dims: [dims], rawData: floats(...Array(dims).fill(1)) }),
        );
      });
    const write = (bytes: Uint8Array) => workspace.write('m/model.onnx', bytes);
    write(model(['w', 'a', 'b'], 2));
    await digest();
    write(model(['w', 'b', 'c'], 3));
    const { findings, codes } = await digest();
    expect(codes.sort()).toEqual([
      'digest-changed last',
      'digest-missing a',
      'digest-model model.onnx',
      'digest-new c',
    ]);
    expect(findings.find(({ name }) => name === 'last')?.message).toBe(
      'has 12 bytes, the manifest says 8',
    );
  });

  it('asks neither for an order nor for a place', async () => {
    const path = writeTiny(workspace.path('m'));
    await digest();
    const bytes = readFileSync(`${path}.data`);
    writeTiny(workspace.path('m'), ({ graph }) => {
      const [table, head] = graph.initializer ?? [];
      setExternal(table, 'offset', '12288');
      setExternal(head, 'offset', '0');
      graph.initializer?.reverse();
    });
    writeFileSync(
      `${path}.data`,
      Buffer.concat([bytes.subarray(12_288), bytes.subarray(0, 12_288)]),
    );
    const { findings } = await digest();
    expect(findings).toMatchObject([{ severity: 'warning', code: 'digest-model' }]);
    writeFileSync(`${path}.data`, bytes);
    expect((await digest()).codes.sort()).toEqual([
      ...['digest-changed table', 'digest-changed weight', 'digest-model model.onnx'],
    ]);
  });

  it('tells tensors of one name apart by their order', async () => {
    const model = (values: readonly number[]) =>
      brokenModel((graph, proto) => {
        withIf(
          branch('t', [identity('k', 't')], {
            initializer: [weight('k', { rawData: floats(1, values[0] ?? 0) })],
          }),
        )(graph, proto);
        const attribute = graph.node[1]?.attribute?.[1];
        if (attribute?.g) {
          attribute.g.initializer = [weight('k', { rawData: floats(1, values[1] ?? 0) })];
          attribute.g.node = [identity('k', 'e')];
        }
      });
    workspace.write('m/model.onnx', model([3, 4]));
    await digest();
    expect((await digest()).findings).toEqual([]);
    workspace.write('m/model.onnx', model([3, 5]));
    expect((await digest()).codes.sort()).toEqual(['digest-changed k', 'digest-model model.onnx']);
  });

  it('does not ask for tensors that cannot be read: there is another finding', async () => {
    const path = writeTiny(workspace.path('m'));
    await digest();
    truncateSync(`${path}.data`, 12_288);
    expect((await digest()).codes).toEqual(['external-bounds weight']);
  });

  it('takes any name', async () => {
    const model = brokenModel(({ initializer }) =>
      initializer.push(weight('line\nend'), weight('quote"'), weight('\udc80'), weight('é\u2028')),
    );
    workspace.write('m/model.onnx', model);
    await digest();
    expect((await digest()).findings).toEqual([]);
  });

  it('notices a manifest that was cut off, wherever', async () => {
    writeTiny(workspace.path('m'));
    await digest();
    const whole = readFileSync(workspace.path('digests'));
    for (let length = 0; length < whole.length - 1; length += 7) {
      writeFileSync(workspace.path('digests'), whole.subarray(0, length));
      expect(await failure(() => digest())).toMatchObject({ name: 'FormatError' });
    }
    // Without its last line end it is whole.
    writeFileSync(workspace.path('digests'), whole.subarray(0, -1));
    expect((await digest()).findings).toEqual([]);
  });

  it.each([
    [
      'another version',
      1,
      (line: string) => line.replace('"schemaVersion":1', '"schemaVersion":2'),
    ],
    ['another kind', 1, (line: string) => line.replace('onnx-lathe', 'other')],
    ['a line that is no JSON', 2, () => '{'],
    ['a digest that is none', 2, (line: string) => line.replace(/"sha256":"./, '"sha256":"G')],
    [
      'a size that is none',
      3,
      (line: string) =>
        line.replace('12288}', '1.5}').replace(/"byteLength":\d+/, '"byteLength":-1'),
    ],
    ['another count', 4, () => '{"tensors":3}'],
    ['a line after the last', 4, (line: string) => `${line}\n${line}`],
  ])('refuses %s', async (_, number, edit) => {
    writeTiny(workspace.path('m'));
    await digest();
    const text = readFileSync(workspace.path('digests'), 'utf8').split('\n');
    text[number - 1] = edit(text[number - 1] ?? '');
    writeFileSync(workspace.path('digests'), text.join('\n'));
    const error = await failure(() => digest());
    expect(error).toMatchObject({ name: 'FormatError', hint: expect.stringContaining('--force') });
  });

  it('does not read a line without end', async () => {
    writeTiny(workspace.path('m'));
    await digest();
    const [head] = readFileSync(workspace.path('digests'), 'utf8').split('\n');
    writeFileSync(workspace.path('digests'), `${head}\n${'x'.repeat(9 * 2 ** 20)}`);
    const error = await failure(() => digest());
    expect(error.message).toMatch(/line 2 is not one of a digest manifest$/);
    rmSync(workspace.path('digests'));
  });
});
