import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { PreconditionError, UsageError } from '../../src/errors.ts';
import { checkOutput } from '../../src/external-data/output.ts';
import { failure, useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

async function refusal(output: string, options: Parameters<typeof checkOutput>[1] = {}) {
  const error = await failure(() => checkOutput(output, options));
  expect(error.hint).toBeDefined();
  return error;
}

describe('checkOutput of a directory', () => {
  it('knows absent, empty and replaced', () => {
    mkdirSync(workspace.path('empty'));
    workspace.write('old/model.onnx');
    const states = ['new/below', 'empty', 'old'].map((name) => {
      const target = checkOutput(workspace.path(name), { force: true });
      expect(target.directory).toBe(workspace.path(name));
      expect(target.modelFileName).toBeUndefined();
      return target.state;
    });
    expect(states).toEqual(['absent', 'empty', 'replaced']);
    expect(readdirSync(workspace.path('.')).sort()).toEqual(['empty', 'old']);
  });

  it('counts neither our leftovers nor lost+found as content', () => {
    mkdirSync(workspace.path('out/.out.lathe-1-01234567-0123456789ab'), { recursive: true });
    mkdirSync(workspace.path('out/lost+found'));
    expect(checkOutput(workspace.path('out')).state).toBe('empty');
  });

  it('asks for --force where there is something', async () => {
    workspace.write('out/model.onnx');
    const error = await refusal(workspace.path('out'));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.code).toBe('ERR_OUTPUT_EXISTS');
    expect(error.message).toBe(`${workspace.path('out')} exists and has 1 entry`);
    expect(error.hint).toContain('--force');
  });

  it('does not remove with --force what is no model directory', async () => {
    workspace.write('letters/a.txt');
    workspace.write('work/model.onnx');
    mkdirSync(workspace.path('work/.git'));
    workspace.write('package/decoder/model.onnx');
    const options = { force: true };
    const letters = await refusal(workspace.path('letters'), options);
    expect(letters.message).toContain('holds no model; --force does not replace it');
    expect((await refusal(workspace.path('work'), options)).message).toContain(
      'is a Git work tree',
    );
    expect((await refusal('.', options)).message).toContain('the working directory');
    expect((await refusal('/', options)).code).toBe('ERR_OUTPUT_EXISTS');
    expect((await refusal(homedir(), options)).code).toBe('ERR_OUTPUT_EXISTS');
    expect(checkOutput(workspace.path('package'), options).state).toBe('replaced');
  });

  it('refuses to replace the input, wherever its files lie', async () => {
    workspace.write('p/model.onnx');
    workspace.write('p/weights/w.data');
    workspace.write('p/weights/other.onnx');
    symlinkSync('p', workspace.path('alias'));
    const inputPaths = [workspace.path('p/model.onnx'), workspace.path('p/weights/w.data')];
    for (const output of ['p', 'alias', 'p/weights', '.']) {
      for (const force of [true, false]) {
        const error = await refusal(workspace.path(output), { force, inputPaths });
        expect(error).toBeInstanceOf(UsageError);
        expect(error.code).toBe('ERR_OUTPUT_IS_INPUT');
      }
    }
    expect(checkOutput(workspace.path('p/q4'), { inputPaths }).state).toBe('absent');
  });

  it('protects a Hugging Face cache, snapshot and blobs', async () => {
    workspace.write('blobs/a.bin');
    mkdirSync(workspace.path('snapshots/rev'), { recursive: true });
    symlinkSync('../../blobs/a.bin', workspace.path('snapshots/rev/model.onnx'));
    const inputPaths = [workspace.path('snapshots/rev/model.onnx')];
    for (const output of ['snapshots/rev', 'snapshots', 'blobs']) {
      const error = await refusal(workspace.path(output), { force: true, inputPaths });
      expect(error.code).toBe('ERR_OUTPUT_IS_INPUT');
    }
  });

  it('takes a link for the directory it leads to', async () => {
    workspace.write('disk/old/model.onnx');
    symlinkSync('disk/old', workspace.path('out'));
    symlinkSync('nothing', workspace.path('dangling'));
    const target = checkOutput(workspace.path('out'), { force: true });
    expect(target).toMatchObject({ directory: workspace.path('disk/old'), state: 'replaced' });
    expect((await refusal(workspace.path('dangling'))).message).toContain('is a link to nothing');
  });

  it('does not replace a file by a directory, nor go below one', async () => {
    workspace.write('file');
    const file = await refusal(workspace.path('file'), { force: true });
    expect(file.message).toContain('is a file');
    const below = await refusal(workspace.path('file/a/b'), { force: true });
    expect(below.message).toBe(`${workspace.path('file')} is not a directory`);
  });

  it('refuses an empty path', async () => {
    expect((await refusal('')).code).toBe('ERR_OPTION');
  });
});

describe('checkOutput of a model file', () => {
  it('names the model and shares its directory', () => {
    workspace.write('p/notes.txt');
    expect(checkOutput(workspace.path('p/small.onnx'))).toMatchObject({
      directory: workspace.path('p'),
      modelFileName: 'small.onnx',
      state: 'shared',
    });
    expect(checkOutput(workspace.path('new/small.onnx'))).toMatchObject({
      directory: workspace.path('new'),
      modelFileName: 'small.onnx',
      state: 'absent',
    });
  });

  it('is a directory when there is one of that name, or a slash', () => {
    mkdirSync(workspace.path('odd.onnx'));
    expect(checkOutput(workspace.path('odd.onnx')).state).toBe('empty');
    expect(checkOutput(`${workspace.path('other.onnx')}/`).modelFileName).toBeUndefined();
  });

  it('asks for --force where there is a file', async () => {
    workspace.write('p/model.onnx');
    const output = workspace.path('p/model.onnx');
    expect((await refusal(output)).code).toBe('ERR_OUTPUT_EXISTS');
    expect(checkOutput(output, { force: true }).state).toBe('shared');
  });

  it('refuses the input and what is no file', async () => {
    const input = workspace.write('p/model.onnx');
    symlinkSync('p', workspace.path('alias'));
    execFileSync('mkfifo', [workspace.path('fifo.onnx')]);
    const options = { force: true, inputPaths: [input] };
    for (const output of ['p/model.onnx', 'alias/model.onnx']) {
      const error = await refusal(workspace.path(output), options);
      expect(error.code).toBe('ERR_OUTPUT_IS_INPUT');
      expect(error.hint).toContain('--in-place');
    }
    expect((await refusal(workspace.path('fifo.onnx'), options)).message).toContain('regular file');
  });

  it('lets --in-place replace the input, but not through links', async () => {
    const model = workspace.write('p/model.onnx');
    const data = workspace.write('p/w.data');
    expect(checkOutput(model, { replacesInput: true, inputPaths: [model, data] })).toMatchObject({
      state: 'shared',
      force: true,
    });
    symlinkSync('w.data', workspace.path('p/link.data'));
    const inputPaths = [model, workspace.path('p/link.data')];
    const error = await refusal(model, { replacesInput: true, inputPaths });
    expect(error).toBeInstanceOf(PreconditionError);
    expect(error.message).toContain('p/link.data is a link');
  });
});
