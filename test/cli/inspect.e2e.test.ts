import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cli, cliHere, repositoryPath } from '../support/cli.ts';

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');
const layout = (name: string) => repositoryPath(`test/models/layouts/${name}`);

let root = '';
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-inspect-')));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('inspect --tensors', () => {
  it('sums by kind and lists the largest', () => {
    const { status, stdout } = cli(['inspect', EXAMPLE, '--tensors', '2']);
    expect(status).toBe(0);
    const [, kinds = '', list = ''] = /by kind:\n(.*)\n\nlargest:\n(.*)\n$/s.exec(stdout) ?? [];
    expect(kinds.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['weight', 'fp16', '28 tensors', '5.63 MiB'],
      ['embedding and head', 'fp16', '1 tensor', '2.00 MiB'],
      ['other', 'fp16', '11 tensors', '68.5 KiB'],
      ['other', 'int64', '1 tensor', '8 B'],
    ]);
    expect(list.split('\n').map((line) => line.trim().split(/ {2,}/)[4])).toEqual([
      'model.embed_tokens.weight',
      'model.layers.0.mlp.gate_proj.weight_t',
    ]);
  });

  it('lists all as JSON, in the order of the file', () => {
    const { status, stdout } = cli(['inspect', EXAMPLE, '--tensors', '--json']);
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.tensorList).toHaveLength(report.tensors);
    expect(report.tensorList).toContainEqual({
      name: 'model.embed_tokens.weight',
      kind: 'embedding and head',
      dtype: 'fp16',
      dims: [4096, 256],
      byteLength: 2_097_152,
      file: 'model.onnx.data',
      byteOffset: 6_029_312,
    });
    const bytes = report.tensorList.map((tensor: { byteLength: number }) => tensor.byteLength);
    const sum = (list: readonly number[]) => list.reduce((total, length) => total + length, 0);
    expect(sum(bytes)).toBe(sum(report.kinds.map((use: { byteLength: number }) => use.byteLength)));
  });

  it.each([
    ['genai-llama-tied-int4-rtn', ['embedding and head', 'scales', 'weight']],
    ['mobius-llama-untied-f16-default', ['embedding', 'head', 'weight']],
  ])('knows the parts of %s', async (name, expected) => {
    const { stdout } = await cliHere(['inspect', layout(name), '--tensors', '--json']);
    const kinds = JSON.parse(stdout).kinds.map((use: { kind: string }) => use.kind);
    expect(kinds).toEqual(expect.arrayContaining(expected));
  });

  it('refuses a count that is none', async () => {
    const { status, stderr } = await cliHere(['inspect', EXAMPLE, '--tensors', '0']);
    expect([status, stderr]).toEqual([2, expect.stringContaining('--tensors')]);
  });
});

describe('inspect --compare', () => {
  it.each([
    ['genai-gemma2-fp32-cpu', true, /^head and embedding read the same bytes$/],
    ['mobius-llama-untied-f16-default', false, /^not tied: \d+ of \d+ compared elements/],
  ])('tells whether the tables of %s are equal', async (name, tied, result) => {
    const { status, stdout } = await cliHere(['inspect', layout(name), '--compare', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout).comparison).toMatchObject({
      tied,
      result: expect.stringMatching(result),
    });
    expect((await cliHere(['inspect', layout(name), '--compare'])).stdout).toMatch(/^compared: /m);
  });
});

describe('inspect --savings', () => {
  it('tells the sizes that shrink then has', async () => {
    const { savings } = JSON.parse(
      (await cliHere(['inspect', EXAMPLE, '--savings', '--json'])).stdout,
    );
    expect(savings.map(({ recipe }: { recipe: string }) => recipe)).toEqual([
      'q4',
      'q4-small',
      'q4-mixed',
      'q8',
      'int8-embedding',
    ]);
    for (const { recipe, byteLength } of savings) {
      const out = join(root, recipe);
      const run = await cliHere(['shrink', EXAMPLE, '-o', out, '--recipe', recipe, '--json']);
      expect([recipe, JSON.parse(run.stdout).output.byteLength]).toEqual([recipe, byteLength]);
    }
  });

  it('gives the reason where there is nothing to gain', async () => {
    const { status, stdout } = await cliHere([
      'inspect',
      layout('genai-llama-tied-int4-rtn'),
      '--savings',
    ]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ {2}q4 +nothing: the table is quantized already$/m);
  });
});
