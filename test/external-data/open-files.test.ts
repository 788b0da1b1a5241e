import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  linkSync,
  readdirSync,
  renameSync,
  symlinkSync,
  utimesSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatError, ResourceError } from '../../src/errors.ts';
import { checkRange, OpenedFiles } from '../../src/external-data/open-files.ts';
import { failure, useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('OpenedFiles', () => {
  it('opens each inode once, whatever it is called', () => {
    const model = workspace.write('m/model.onnx', 'graph');
    workspace.write('m/w.data', '12345');
    symlinkSync('w.data', workspace.path('m/link.data'));
    linkSync(workspace.path('m/w.data'), workspace.path('m/hard.data'));
    const before = openDescriptors();
    const files = OpenedFiles.open(model);
    const data = files.data('w.data', 'a');
    for (const location of ['w.data', './w.data', 'link.data', 'hard.data']) {
      expect(files.data(location, 'b')).toBe(data);
    }
    expect(files.data('model.onnx', 'c')).toBe(files.model);
    expect(data).toMatchObject({ path: workspace.path('m/w.data'), byteLength: 5 });
    expect(files.model).toMatchObject({ path: model, byteLength: 5 });
    expect(files.files).toEqual([files.model, data]);
    expect(openDescriptors()).toBe(before + 2);
    files.close();
    files.close();
    expect(openDescriptors()).toBe(before);
  });

  it('knows the input under every path, links resolved too', () => {
    workspace.write('blobs/a', 'graph');
    workspace.write('blobs/b', 'weights');
    workspace.write('s/unrelated');
    symlinkSync('../blobs/a', workspace.path('s/model.onnx'));
    symlinkSync('../blobs/b', workspace.path('s/model.onnx_data'));
    using files = OpenedFiles.open(workspace.path('s/model.onnx'));
    files.data('model.onnx_data', 'w');
    expect([...files.inputPaths].sort()).toEqual(
      ['blobs/a', 'blobs/b', 's/model.onnx', 's/model.onnx_data'].map((name) =>
        workspace.path(name),
      ),
    );
  });

  it('asks for containment through the function it is given', () => {
    const model = workspace.write('m/model.onnx');
    workspace.write('m/sub/w.data');
    const asked: string[] = [];
    using files = OpenedFiles.open(model, (_, path) => {
      asked.push(path);
      return undefined;
    });
    files.data('sub/w.data', 'w');
    expect(asked).toEqual(['sub/w.data']);
  });

  it('notices bytes written to a file and a changed size, in the model and in the data', async () => {
    const model = workspace.write('m/model.onnx');
    const data = workspace.write('m/w.data', '12345');
    for (const path of [model, data]) {
      using files = OpenedFiles.open(model);
      files.data('w.data', 'w');
      files.verifyUnchanged();
      utimesSync(path, new Date(1e12), new Date(1e12));
      const touched = await failure(() => files.verifyUnchanged());
      expect(touched).toBeInstanceOf(ResourceError);
      expect(touched.code).toBe('ERR_CHANGED');
      expect(touched.message).toContain(`${path} changed while it was read`);
    }
    using files = OpenedFiles.open(model);
    files.data('w.data', 'w');
    appendFileSync(data, '678');
    const grown = await failure(() => files.verifyUnchanged());
    expect(grown.message).toContain('it had 5 bytes, now 8');
  });

  it('goes on reading the old file when another takes its name', () => {
    const model = workspace.write('m/model.onnx');
    workspace.write('m/new', 'other content');
    using files = OpenedFiles.open(model);
    renameSync(workspace.path('m/new'), model);
    files.verifyUnchanged();
  });

  it('words what is wrong with the model file and leaks no descriptor', async () => {
    execFileSync('mkfifo', [workspace.path('fifo.onnx')]);
    const before = openDescriptors();
    const missing = await failure(() => OpenedFiles.open(workspace.path('none.onnx')));
    expect(missing).toBeInstanceOf(FormatError);
    expect(missing.code).toBe('ERR_NOT_FOUND');
    const fifo = await failure(() => OpenedFiles.open(workspace.path('fifo.onnx')));
    expect(fifo.message).toContain('fifo.onnx is not a regular file');
    const directory = await failure(() => OpenedFiles.open(workspace.path('.')));
    expect(directory.message).toContain('is not a regular file');
    expect(openDescriptors()).toBe(before);
  });
});

describe('checkRange', () => {
  const file = { fd: -1, path: 'model.onnx.data', byteLength: 67_100_000 };

  it.each([
    [0, 67_100_000],
    [67_099_999, 1],
    [67_100_000, 0],
  ])('accepts %i + %i', (byteOffset, byteLength) => {
    checkRange(file, byteOffset, byteLength, 'w');
  });

  it('words an end beyond the file', async () => {
    const error = await failure(() => checkRange(file, 67_100_000, 8864, 'layers.0.w'));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.code).toBe('ERR_EXTERNAL_BOUNDS');
    expect(error.message).toBe(
      'model.onnx.data: tensor "layers.0.w" ends at 67108864, file has 67100000 bytes',
    );
  });

  it.each([
    [67_100_001, 0],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    [-1, 1],
    [0, -1],
    [Number.NaN, 1],
    [0, 2 ** 53],
    [0.5, 1],
  ])('refuses %d + %d', async (byteOffset, byteLength) => {
    const error = await failure(() => checkRange(file, byteOffset, byteLength, 'w'));
    expect(error.code).toBe('ERR_EXTERNAL_BOUNDS');
  });

  it('gives the exact end beyond 2^53', async () => {
    const size = Number.MAX_SAFE_INTEGER;
    expect((await failure(() => checkRange(file, size, size, 'w'))).message).toContain(
      'ends at 18014398509481982,',
    );
  });
});
