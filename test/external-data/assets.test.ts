import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import { ResourceError } from '../../src/errors.ts';
import { copyAssets, isWeightName, listAssets } from '../../src/external-data/assets.ts';
import { modelRoots } from '../../src/external-data/location.ts';
import { loadNative } from '../../src/native.ts';
import { failure, useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

function listOf(model: string, ...data: string[]) {
  const paths = [model, ...data].map((name) => workspace.path(name));
  return listAssets(modelRoots(workspace.path(model)), paths);
}

function list(model: string, ...data: string[]) {
  const { assets, skipped } = listOf(model, ...data);
  return {
    assets: assets.map(({ relativePath }) => relativePath),
    skipped: Object.fromEntries(skipped.map(({ relativePath, reason }) => [relativePath, reason])),
  };
}

describe('isWeightName', () => {
  it.each([
    'model.onnx',
    'model.onnx.data',
    'model.onnx_data',
    'model_q4.onnx_data_1',
    'decoder.onnx.data.1',
    'model.safetensors',
    'model.safetensors.index.json',
    'pytorch_model.bin',
    'model.Q4_K.gguf',
    'checkpoint.pt',
    'weights.data',
  ])('%s', (name) => expect(isWeightName(name)).toBe(true));

  it.each([
    'tokenizer.json',
    'tokenizer.model',
    'genai_config.json',
    'chat_template.jinja',
    'config.json',
    'onnx_data.txt',
    'README.md',
    'LICENSE',
  ])('not %s', (name) => expect(isWeightName(name)).toBe(false));
});

describe('listAssets', () => {
  it('takes the package and leaves the weights', () => {
    const kept = [
      '1_Pooling/config.json',
      'additional_chat_templates/tool_use.jinja',
      'chat_template.jinja',
      'genai_config.json',
      'tokenizer.json',
      'tokenizer.model',
    ];
    for (const name of [
      ...kept,
      'model.onnx',
      'model.onnx.data',
      'model.safetensors',
      'onnx__MatMul_1',
    ]) {
      workspace.write(`p/${name}`);
    }
    workspace.write('p/.gitattributes');
    workspace.write('p/onnx/model_q4.onnx');
    workspace.write('p/onnx/config.json');
    workspace.write('p/a/b/c.json');
    expect(list('p/model.onnx', 'p/model.onnx.data', 'p/onnx__MatMul_1')).toEqual({
      assets: kept,
      skipped: {
        '.gitattributes': 'hidden',
        'a/b': 'a directory two levels down',
        'model.safetensors': 'weights',
        onnx: 'holds another model',
      },
    });
  });

  it('gives path and size of each', () => {
    workspace.write('p/model.onnx');
    const sourcePath = workspace.write('p/sub/tokenizer.json', '12345');
    const [root] = modelRoots(workspace.path('p/model.onnx')).real;
    expect(listOf('p/model.onnx').assets).toEqual([
      { root, sourcePath, relativePath: 'sub/tokenizer.json', byteLength: 5 },
    ]);
  });

  it("leaves a component's parent alone", () => {
    workspace.write('p/decoder/model.onnx');
    workspace.write('p/decoder/config.json');
    workspace.write('p/tokenizer.json');
    expect(list('p/decoder/model.onnx').assets).toEqual(['config.json']);
  });

  it('draws the line at 64 MiB', () => {
    workspace.write('p/model.onnx');
    for (const [name, size] of [
      ['small.txt', 64 * MIB],
      ['large.txt', 64 * MIB + 1],
    ] as const) {
      truncateSync(workspace.write(`p/${name}`), size);
    }
    expect(list('p/model.onnx')).toEqual({
      assets: ['small.txt'],
      skipped: { 'large.txt': '67108865 bytes, above the limit of 67108864' },
    });
  });

  it('follows links within the package only', () => {
    workspace.write('secret.json');
    workspace.write('outside/config.json');
    workspace.write('p/model.onnx');
    workspace.write('p/tokenizer.json');
    symlinkSync('tokenizer.json', workspace.path('p/alias.json'));
    symlinkSync('../secret.json', workspace.path('p/escape.json'));
    symlinkSync('/etc/passwd', workspace.path('p/passwd.json'));
    symlinkSync('nothing', workspace.path('p/dangling.json'));
    symlinkSync('loop.json', workspace.path('p/loop.json'));
    symlinkSync('../outside', workspace.path('p/outside'));
    execFileSync('mkfifo', [workspace.path('p/fifo')]);
    expect(list('p/model.onnx')).toEqual({
      assets: ['alias.json', 'tokenizer.json'],
      skipped: {
        'escape.json': 'a link out of the package',
        'passwd.json': 'a link out of the package',
        'dangling.json': 'a link to nothing',
        'loop.json': 'a link to nothing',
        outside: 'a link out of the package',
        fifo: 'not a regular file',
      },
    });
  });

  it('follows links into the blobs of a Hugging Face cache', () => {
    mkdirSync(workspace.path('snapshots/rev'), { recursive: true });
    for (const [name, blob] of [
      ['model.onnx', 'a'],
      ['model.onnx_data', 'b'],
      ['tokenizer.json', 'c'],
    ]) {
      workspace.write(`blobs/${blob}`);
      symlinkSync(`../../blobs/${blob}`, workspace.path('snapshots/rev', name ?? ''));
    }
    symlinkSync('../../../secret', workspace.path('snapshots/rev/secret.json'));
    workspace.write('secret');
    const { assets } = listOf('snapshots/rev/model.onnx', 'snapshots/rev/model.onnx_data');
    const root = modelRoots(workspace.path('snapshots/rev/model.onnx')).real[1];
    const sourcePath = workspace.path('blobs/c');
    expect(assets).toEqual([{ root, sourcePath, relativePath: 'tokenizer.json', byteLength: 7 }]);
  });

  it('does not take a downloads folder for a package', () => {
    workspace.write('p/model.onnx');
    for (let index = 0; index < 256; index++) workspace.write(`p/holiday-${index}.jpg`, '');
    expect(list('p/model.onnx').assets).toHaveLength(256);
    workspace.write('p/one-more.jpg', '');
    expect(list('p/model.onnx')).toEqual({
      assets: [],
      skipped: { '.': 'holds 257 other files (0 B): not a model package, none is copied' },
    });
  });

  it('counts bytes as well as files', () => {
    workspace.write('p/model.onnx');
    for (let index = 0; index < 5; index++) {
      truncateSync(workspace.write(`p/film-${index}.mp4`), 60 * MIB);
    }
    expect(list('p/model.onnx').skipped).toEqual({
      '.': 'holds 5 other files (300 MiB): not a model package, none is copied',
    });
  });
});

describe('copyAssets', () => {
  it('copies content with subdirectories and default permissions', async () => {
    workspace.write('p/model.onnx');
    const large = new Uint8Array(600 * 1024).map((_, index) => index * 7);
    chmodSync(workspace.write('p/tokenizer.json', large), 0o400);
    workspace.write('p/sub/empty', '');
    mkdirSync(workspace.path('out'));
    await copyAssets(listOf('p/model.onnx').assets, workspace.path('out'));
    expect(readFileSync(workspace.path('out/tokenizer.json')).equals(large)).toBe(true);
    expect(statSync(workspace.path('out/sub/empty')).size).toBe(0);
    const plain = statSync(workspace.write('plain')).mode;
    expect(statSync(workspace.path('out/tokenizer.json')).mode).toBe(plain);
  });

  it('keeps to the listed size, and to files', async () => {
    workspace.write('p/model.onnx');
    const asset = workspace.write('p/tokenizer.json');
    mkdirSync(workspace.path('out'));
    const { assets } = listOf('p/model.onnx');
    appendFileSync(asset, 'more');
    const grown = await failure(() => copyAssets(assets, workspace.path('out')));
    expect(grown).toBeInstanceOf(ResourceError);
    expect(grown.code).toBe('ERR_CHANGED');

    unlinkSync(asset);
    workspace.write('secret', 'p/tokenizer.json');
    symlinkSync('../secret', asset);
    unlinkSync(workspace.path('out/tokenizer.json'));
    const swapped = await failure(() => copyAssets(assets, workspace.path('out')));
    expect(swapped).toMatchObject({ name: 'ResourceError', code: 'ERR_CHANGED' });
    expect(swapped.message).toBe(`${asset} changed while it was copied`);
    expect(readdirSync(workspace.path('out'))).toEqual([]);
  });

  it('replaces nothing', async () => {
    workspace.write('p/model.onnx');
    workspace.write('p/tokenizer.json');
    workspace.write('out/tokenizer.json', 'mine');
    const { assets } = listOf('p/model.onnx');
    await failure(() => copyAssets(assets, workspace.path('out')));
    expect(readFileSync(workspace.path('out/tokenizer.json'), 'utf8')).toBe('mine');
  });
});

const native = loadNative();

describe.each([
  ['walk', undefined],
  ...(native === undefined ? [] : [['openat2', native.openBeneath] as const]),
] as const)('copyAssets after a swap (%s)', (_, openBeneath) => {
  async function copyAfter(swap: () => void): Promise<void> {
    mkdirSync(workspace.path('out'));
    const { assets } = listOf('p/model.onnx');
    swap();
    await copyAssets(assets, workspace.path('out'), openBeneath);
  }

  it('copies nothing from outside, where a directory became a link', async () => {
    workspace.write('p/model.onnx');
    workspace.write('p/sub/tokenizer.json', 'inside!');
    workspace.write('outside/tokenizer.json', 'outside');
    const error = await failure(() =>
      copyAfter(() => {
        renameSync(workspace.path('p/sub'), workspace.path('away'));
        symlinkSync('../outside', workspace.path('p/sub'));
      }),
    );
    expect(error).toMatchObject({ name: 'ResourceError', code: 'ERR_CHANGED' });
    expect(readdirSync(workspace.path('out/sub'))).toEqual([]);
  });

  it('copies nothing from another directory in the place of the package', async () => {
    workspace.write('p/model.onnx');
    workspace.write('p/tokenizer.json', 'inside!');
    workspace.write('outside/tokenizer.json', 'outside');
    const error = await failure(() =>
      copyAfter(() => {
        renameSync(workspace.path('p'), workspace.path('away'));
        renameSync(workspace.path('outside'), workspace.path('p'));
      }),
    );
    expect(error.code).toBe('ERR_CHANGED');
    expect(readdirSync(workspace.path('out'))).toEqual([]);
  });

  it('waits for no FIFO', async () => {
    workspace.write('p/model.onnx');
    const asset = workspace.write('p/tokenizer.json', '');
    const error = await failure(() =>
      copyAfter(() => {
        unlinkSync(asset);
        execFileSync('mkfifo', [asset]);
      }),
    );
    expect(error.code).toBe('ERR_CHANGED');
  });

  it('copies what a link inside the package leads to', async () => {
    workspace.write('p/model.onnx');
    workspace.write('p/sub/real.json', 'content');
    symlinkSync('sub/real.json', workspace.path('p/link.json'));
    await copyAfter(() => undefined);
    expect(readFileSync(workspace.path('out/link.json'), 'utf8')).toBe('content');
  });
});
