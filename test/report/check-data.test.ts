import { appendFileSync, readFileSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { checkModel } from '../../src/report/check.ts';
import { setExternal, tinyModel, writeTiny } from '../cli/tiny-model.ts';
import { failure, useWorkspace } from '../external-data/workspace.ts';
import { field, rawField } from '../proto/wire-builder.ts';
import { repositoryPath } from '../support/cli.ts';
import { brokenModel, identity, info, weight } from './broken/case.ts';

const workspace = useWorkspace();

describe('a model of two tables', () => {
  it('is as it should be', async () => {
    const path = writeTiny(workspace.path());
    expect(await checkModel(workspace.path())).toEqual({
      path,
      findings: [],
      counts: { errors: 0, warnings: 0, notes: 0, notListed: 0 },
      checked: {
        graphs: 1,
        functions: 0,
        nodes: 2,
        tensors: 2,
        aliases: 0,
        byteLength: 24_576,
        files: 2,
      },
    });
  });

  it('may be two views of the same bytes', async () => {
    writeTiny(workspace.path(), ({ graph }) => setExternal(graph.initializer?.[1], 'offset', '0'));
    truncateSync(workspace.path('model.onnx.data'), 12_288);
    const { findings, checked } = await checkModel(workspace.path());
    expect(findings).toEqual([]);
    expect(checked).toMatchObject({ aliases: 1, byteLength: 12_288 });
  });

  it('is suspicious when they overlap', async () => {
    writeTiny(workspace.path(), ({ graph }) =>
      setExternal(graph.initializer?.[1], 'offset', '12284'),
    );
    const { findings, checked } = await checkModel(workspace.path());
    expect(findings).toMatchObject([
      {
        severity: 'warning',
        code: 'external-overlap',
        where: { tensor: 'weight', file: 'model.onnx.data' },
        message: 'shares bytes 12284 to 12288 with "table", but not all',
      },
    ]);
    expect(checked.byteLength).toBe(24_572);
  });

  it('is suspicious when its data has a name that not everybody reads', async () => {
    writeTiny(workspace.path(), ({ graph }) => {
      for (const tensor of graph.initializer ?? []) setExternal(tensor, 'location', 'a..b.bin');
    });
    renameSync(workspace.path('model.onnx.data'), workspace.path('a..b.bin'));
    expect((await checkModel(workspace.path())).findings).toEqual([
      {
        severity: 'warning',
        code: 'external-path',
        where: { tensor: 'table' },
        message:
          'external data location "a..b.bin" has two dots in a row, which onnx\'s Python refuses',
        count: 2,
      },
    ]);
  });

  it.each(['sub/../model.onnx.data', './model.onnx.data'])('may name its data %s', async (name) => {
    writeTiny(workspace.path(), ({ graph }) => {
      for (const tensor of graph.initializer ?? []) setExternal(tensor, 'location', name);
    });
    workspace.write('sub/other');
    expect((await checkModel(workspace.path())).findings).toEqual([]);
  });

  it('is noted to leave bytes unused, but for padding', async () => {
    writeTiny(workspace.path());
    appendFileSync(workspace.path('model.onnx.data'), new Uint8Array(4095));
    expect((await checkModel(workspace.path())).findings).toEqual([]);
    appendFileSync(workspace.path('model.onnx.data'), new Uint8Array(1));
    expect((await checkModel(workspace.path())).findings).toMatchObject([
      {
        severity: 'note',
        code: 'external-unused',
        where: { file: 'model.onnx.data' },
        message: '4096 of 28672 bytes belong to no tensor',
      },
    ]);
  });

  it('is noted to lie off the pages, once a file', async () => {
    const [rows, columns] = [512, 512];
    const shift = (graph: Parameters<typeof setExternal>[0], offset: number) =>
      setExternal(graph, 'offset', String(offset));
    const model = tinyModel(
      ({ graph }) => {
        shift(graph.initializer?.[0], 64);
        shift(graph.initializer?.[1], 2 ** 20 + 128);
      },
      rows,
      columns,
    );
    workspace.write('model.onnx', model);
    workspace.write('model.onnx.data', new Uint8Array(2 ** 21 + 128));
    expect((await checkModel(workspace.path())).findings).toMatchObject([
      {
        severity: 'note',
        code: 'external-alignment',
        where: { tensor: 'table', file: 'model.onnx.data' },
        message: 'starts at byte 64, not at a multiple of 4096',
        count: 2,
      },
    ]);
  });

  it('misses its file once, whoever refers to it', async () => {
    rmSync(`${writeTiny(workspace.path())}.data`);
    const { findings, checked } = await checkModel(workspace.path());
    expect(findings).toMatchObject([
      { severity: 'error', code: 'external-missing', where: { tensor: 'table' }, count: 2 },
    ]);
    expect(checked).toMatchObject({ tensors: 2, files: 1 });
  });
});

it('tells everything that is wrong, not only the first thing', async () => {
  const path = writeTiny(workspace.path(), ({ graph, ...model }) => {
    const [table, head] = graph.initializer ?? [];
    setExternal(table, 'location', '../outside');
    if (head) head.dims = [32, 97];
    graph.node?.push(
      { opType: 'Identity', name: 'a', input: ['nothing'], output: ['hidden'] },
      { opType: 'Made', name: 'b', domain: 'up', input: ['b2'], output: ['b1'] },
      { opType: 'Identity', name: 'c', input: ['b1'], output: ['b2'] },
    );
    graph.output?.push(info('gone'));
    return model;
  });
  const { findings, counts } = await checkModel(path);
  expect(findings.map(({ code, where }) => [code, where])).toEqual([
    ['name-duplicate', { value: 'hidden' }],
    ['name-undefined', { node: 'a' }],
    ['opset-missing', { node: 'b' }],
    ['graph-outputs', { value: 'gone' }],
    ['node-cycle', { node: 'b' }],
    ['external-path', { tensor: 'table' }],
    ['tensor-bytes', { tensor: 'weight' }],
    ['external-unused', { file: 'model.onnx.data' }],
  ]);
  expect(counts).toEqual({ errors: 7, warnings: 0, notes: 1, notListed: 0 });
});

it('lists a thousand of a kind and counts the others', async () => {
  const model = brokenModel(({ node }) => {
    for (let index = 0; index < 1500; index++) node.push(identity(`no${index}`, `z${index}`));
  });
  const { findings, counts } = await checkModel(workspace.write('model.onnx', model));
  expect(findings).toHaveLength(1000);
  expect(counts).toEqual({ errors: 1500, warnings: 0, notes: 0, notListed: 500 });
});

/** Fields that the schema does not have, or that are damaged, appended to a message. */
function append(message: object | undefined, ...fields: number[][]): void {
  Object.assign(message ?? {}, { $unknowns: fields.map((bytes) => Uint8Array.from(bytes)) });
}

/** A field of wire type 7, which does not exist. */
const DAMAGE = [15];

describe('the wire format', () => {
  it('is told to have fields of tomorrow, each once', async () => {
    const model = brokenModel((graph, model) => {
      graph.valueInfo = [info('h')];
      append(model, field(100, 'x'));
      append(graph.node[0], field(99, 'x'), rawField(98, 0, 1));
      append(graph.node[1], field(99, 'y'));
      append(graph.valueInfo[0]?.type?.tensorType ?? undefined, rawField(9, 0, 1));
      append(graph.initializer[0], field(31, 'x'));
    });
    const { findings, counts } = await checkModel(workspace.write('model.onnx', model));
    expect(
      findings.map(({ message, where, count }) => [message.split(' is ')[0], where, count]),
    ).toEqual([
      ['ModelProto field 100', {}, 1],
      ['NodeProto field 99', { node: 'add' }, 2],
      ['NodeProto field 98', { node: 'add' }, 1],
      ['TypeProto.Tensor field 9', { value: 'h' }, 1],
      ['TensorProto field 31', { tensor: 'w' }, 1],
    ]);
    expect(counts.warnings).toBe(5);
  });

  it('is told to be damaged in parts that nobody else looks at', async () => {
    const model = brokenModel((graph) => {
      graph.initializer.push(weight('v'));
      append(graph, field(13, DAMAGE), field(13, [...field(1, 'h'), ...field(2, DAMAGE)]));
      append(graph.node[0], field(5, [...field(1, 'axis'), ...field(14, DAMAGE)]));
      append(graph.initializer[1], field(16, DAMAGE));
    });
    const { findings } = await checkModel(workspace.write('model.onnx', model));
    expect(findings.map(({ severity, code, where }) => [severity, code, where])).toEqual([
      ['error', 'protobuf', { node: 'add' }],
      ['error', 'protobuf', {}],
      ['error', 'protobuf', { value: 'h' }],
      ['error', 'protobuf', { tensor: 'v' }],
    ]);
    expect(findings[0]?.message).toMatch(/^is not valid protobuf \(.+\)$/);
  });

  it('is told to be damaged where an input or output has a name, or none', async () => {
    const model = brokenModel((graph) => {
      append(graph, field(11, DAMAGE), field(12, [...field(1, 'h'), ...field(4, DAMAGE)]));
    });
    const { findings } = await checkModel(workspace.write('model.onnx', model));
    expect(findings.map(({ severity, code, where }) => [severity, code, where])).toEqual([
      ['error', 'protobuf', {}],
      ['error', 'protobuf', { value: 'h' }],
    ]);
  });

  it('ends the check where there is no model', async () => {
    const text = workspace.write('text.onnx', 'This is not a model.');
    expect(await failure(() => checkModel(text))).toBeInstanceOf(FormatError);
    const empty = workspace.write('empty.onnx', '');
    expect(await failure(() => checkModel(empty))).toMatchObject({ code: 'ERR_TRUNCATED' });
    const cut = workspace.write('cut.onnx', brokenModel(() => undefined).subarray(0, 40));
    expect(await failure(() => checkModel(cut))).toMatchObject({ code: 'ERR_TRUNCATED' });
    const headless = workspace.write('headless.onnx', Uint8Array.from(field(2, 'a producer')));
    expect(await failure(() => checkModel(headless))).toMatchObject({ code: 'ERR_MODEL' });
  });
});

it('leaves the files as they are', async () => {
  const path = writeTiny(workspace.path());
  const before = readFileSync(path);
  await checkModel(path);
  expect(readFileSync(path).equals(before)).toBe(true);
});

describe('models of exporters', () => {
  it.each([
    'dynamo-llama-tied-f16',
    'genai-gemma2-fp32-cpu',
    'genai-llama-tied-int4-kquant',
    'genai-llama-tied-int4-rtn',
    'genai-phi-fp32-cpu',
    'genai-qwen2-tied-fp16-cuda',
    'genai-qwen35-fp16-cuda',
    'mobius-gemma2-f16-default',
    'mobius-gpt2-f16-default',
    'mobius-llama-tied-f16-default',
    'mobius-llama-untied-f16-default',
    'mobius-qwen3-tied-f32-cpu',
    'mobius-qwen35-text-f16-default',
    'mobius-whisper-f32-cpu/decoder',
  ])('%s has nothing wrong', async (name) => {
    const { findings } = await checkModel(repositoryPath(join('test/models/layouts', name)));
    expect(findings).toEqual([]);
  });
});
