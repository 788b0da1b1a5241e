import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatError, UsageError } from '../../src/errors.ts';
import { resolveModelPath } from '../../src/external-data/model-path.ts';
import { failure, useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

function write(...names: string[]): void {
  for (const name of names) workspace.write(name);
}

describe('resolveModelPath of a file', () => {
  it('is the file, under any name', () => {
    write('p/model.onnx', 'p/other.onnx', 'p/graph');
    for (const name of ['p/model.onnx', 'p/graph']) {
      const path = workspace.path(name);
      expect(resolveModelPath(path)).toEqual({ path, component: undefined, otherModels: [] });
    }
  });

  it('refuses a component', async () => {
    write('model.onnx');
    const error = await failure(() => resolveModelPath(workspace.path('model.onnx'), 'decoder'));
    expect(error.code).toBe('ERR_OPTION');
  });

  it('says what is missing or no file', async () => {
    execFileSync('mkfifo', [workspace.path('fifo.onnx')]);
    symlinkSync('../blobs/unfinished', workspace.path('link.onnx'));
    write('file');
    for (const name of ['none.onnx', 'link.onnx', 'file/model.onnx']) {
      const error = await failure(() => resolveModelPath(workspace.path(name)));
      expect(error).toBeInstanceOf(FormatError);
      expect(error.code).toBe('ERR_NOT_FOUND');
      expect(error.message).toBe(`${workspace.path(name)} does not exist`);
      expect(error.hint).toBeDefined();
    }
    expect((await failure(() => resolveModelPath(workspace.path('fifo.onnx')))).code).toBe(
      'ERR_MODEL',
    );
  });
});

describe('resolveModelPath of a directory', () => {
  it('is its only .onnx, data and hidden files aside', () => {
    write(
      'p/model.onnx',
      'p/model.onnx.data',
      'p/._model.onnx',
      'p/.cache/old.onnx',
      'p/tokenizer.json',
    );
    expect(resolveModelPath(workspace.path('p'))).toEqual({
      path: workspace.path('p/model.onnx'),
      component: undefined,
      otherModels: [],
    });
  });

  it('is the only .onnx one directory down', () => {
    write('p/onnx/model.onnx', 'p/config.json');
    expect(resolveModelPath(workspace.path('p')).path).toBe(workspace.path('p/onnx/model.onnx'));
  });

  it('prefers the directory itself and names the others', () => {
    write('p/model.onnx', 'p/onnx/model_q4.onnx', 'p/onnx/model_q8.onnx');
    expect(resolveModelPath(workspace.path('p'))).toEqual({
      path: workspace.path('p/model.onnx'),
      component: 'model',
      otherModels: ['onnx/model_q4.onnx', 'onnx/model_q8.onnx'],
    });
  });

  it('follows links to models and directories', () => {
    write('blobs/a', 'elsewhere/model.onnx');
    mkdirSync(workspace.path('p'));
    symlinkSync('../blobs/a', workspace.path('p/model.onnx'));
    mkdirSync(workspace.path('q'));
    symlinkSync('../elsewhere', workspace.path('q/decoder'));
    expect(resolveModelPath(workspace.path('p')).path).toBe(workspace.path('p/model.onnx'));
    expect(resolveModelPath(workspace.path('q')).path).toBe(workspace.path('q/decoder/model.onnx'));
  });

  it('does not stumble over loops, FIFOs and directories named like a model', async () => {
    write('p/decoder/model.onnx');
    mkdirSync(workspace.path('p/odd.onnx'));
    symlinkSync('loop', workspace.path('p/loop'));
    expect(resolveModelPath(workspace.path('p')).path).toBe(workspace.path('p/decoder/model.onnx'));
    mkdirSync(workspace.path('q'));
    execFileSync('mkfifo', [workspace.path('q/model.onnx')]);
    expect((await failure(() => resolveModelPath(workspace.path('q')))).code).toBe('ERR_MODEL');
  });

  it('says when a download is unfinished', async () => {
    mkdirSync(workspace.path('p'));
    symlinkSync('../blobs/unfinished', workspace.path('p/model.onnx'));
    const error = await failure(() => resolveModelPath(workspace.path('p')));
    expect(error.message).toBe(`${workspace.path('p/model.onnx')} does not exist`);
  });

  it('refuses a directory without a model', async () => {
    write('p/model.safetensors', 'p/a/b/model.onnx');
    const error = await failure(() => resolveModelPath(workspace.path('p')));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.code).toBe('ERR_NO_MODEL');
  });

  it('refuses to choose and lists what there is', async () => {
    write('p/encoder.onnx', 'p/decoder.onnx');
    const error = await failure(() => resolveModelPath(workspace.path('p')));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.code).toBe('ERR_SEVERAL_MODELS');
    expect(error.message).toContain('holds 2 .onnx files: decoder.onnx, encoder.onnx');
    expect(error.hint).toBe('choose one with --component decoder, or give the file');
    expect(error.details).toMatchObject({ models: ['decoder.onnx', 'encoder.onnx'] });
    write(...Array.from({ length: 20 }, (_, index) => `q/m${index}.onnx`));
    const many = await failure(() => resolveModelPath(workspace.path('q')));
    expect(many.message).toMatch(/ and 12 more$/);
  });
});

describe('resolveModelPath with a component', () => {
  it('takes the name of the subdirectory or of the file', () => {
    write(
      'p/decoder/model.onnx',
      'p/encoder/model.onnx',
      'p/vision_encoder/model.onnx',
      'p/embedding.onnx',
    );
    const path = workspace.path('p');
    for (const component of ['decoder', 'decoder/', 'decoder/model.onnx', 'decoder/model']) {
      expect(resolveModelPath(path, component)).toEqual({
        path: workspace.path('p/decoder/model.onnx'),
        component: 'decoder',
        otherModels: ['embedding.onnx', 'encoder/model.onnx', 'vision_encoder/model.onnx'],
      });
    }
    expect(resolveModelPath(path, 'embedding').path).toBe(workspace.path('p/embedding.onnx'));
    expect(resolveModelPath(path, 'embedding.onnx').path).toBe(workspace.path('p/embedding.onnx'));
  });

  it('spells a subdirectory of several', () => {
    write('p/onnx/model.onnx', 'p/onnx/model_q4.onnx');
    const found = resolveModelPath(workspace.path('p'), 'onnx/model_q4');
    expect(found.path).toBe(workspace.path('p/onnx/model_q4.onnx'));
  });

  it('lists the components when there is none of that name', async () => {
    write('p/decoder/model.onnx', 'p/encoder/model.onnx');
    const error = await failure(() => resolveModelPath(workspace.path('p'), '../p/decoder'));
    expect(error.code).toBe('ERR_UNKNOWN_NAME');
    expect(error.hint).toBe('components: decoder, encoder');
  });

  it('refuses a name for two', async () => {
    write('p/decoder.onnx', 'p/decoder/model.onnx');
    const error = await failure(() => resolveModelPath(workspace.path('p'), 'decoder'));
    expect(error.code).toBe('ERR_SEVERAL_MODELS');
    expect(error.message).toContain('decoder.onnx, decoder/model.onnx');
  });
});
