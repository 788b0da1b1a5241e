import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { checkLocation, modelRoots, openLocation } from '../../src/external-data/location.ts';
import { type OpenBeneath, walkBeneath } from '../../src/external-data/open-beneath.ts';
import { loadNative } from '../../src/native.ts';
import { failure, useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

function open(model: string, location: string, ways: readonly OpenBeneath[]): string {
  const opened = openLocation(modelRoots(workspace.path(model)), location, 'w', ways);
  try {
    return readFileSync(opened.fd, 'utf8');
  } finally {
    closeSync(opened.fd);
  }
}

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('checkLocation', () => {
  it.each([
    'w.data',
    './w.data',
    'sub/w.data',
    's/../w.data',
    'a..b.bin',
    'onnx::MatMul_12',
    'a//b',
    'console.data',
    'com10',
    'gewicht-é.data',
  ])('accepts %j', (location) => checkLocation(location, 'w'));

  it.each([
    ['../x', 'ERR_PATH_ESCAPE', 'leads outside the model directory'],
    ['a/../../m/x', 'ERR_PATH_ESCAPE', 'leads outside the model directory'],
    ['/etc/passwd', 'ERR_PATH_ESCAPE', 'is an absolute path'],
    ['..\\x', 'ERR_PATH_ESCAPE', 'contains a backslash'],
    ['C:/x', 'ERR_PATH_ESCAPE', 'names a drive'],
    ['C:', 'ERR_PATH_ESCAPE', 'names a drive'],
    ['NUL', 'ERR_PATH_ESCAPE', 'names a device of Windows'],
    ['aux.data', 'ERR_PATH_ESCAPE', 'names a device of Windows'],
    ['sub/Com1 .bin', 'ERR_PATH_ESCAPE', 'names a device of Windows'],
    ['lpt³/w.data', 'ERR_PATH_ESCAPE', 'names a device of Windows'],
    ['conout$', 'ERR_PATH_ESCAPE', 'names a device of Windows'],
    ['*/_ORT_MEM_ADDR_/*', 'ERR_PATH_ESCAPE', 'is an address in memory'],
    ['*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*', 'ERR_PATH_ESCAPE', 'is an address in memory'],
    ['w.data\udcff', 'ERR_EXTERNAL_DATA', 'is not UTF-8'],
    ['', 'ERR_EXTERNAL_DATA', 'is empty'],
    ['a\0b', 'ERR_EXTERNAL_DATA', 'contains a NUL character'],
    ['.', 'ERR_EXTERNAL_DATA', 'names a directory'],
    ['a/', 'ERR_EXTERNAL_DATA', 'names a directory'],
    ['a/..', 'ERR_EXTERNAL_DATA', 'names a directory'],
    ['x'.repeat(256), 'ERR_EXTERNAL_DATA', 'is too long for a path'],
    ['é'.repeat(128), 'ERR_EXTERNAL_DATA', 'is too long for a path'],
    ['a/'.repeat(2048).concat('b'), 'ERR_EXTERNAL_DATA', 'is too long for a path'],
  ])('refuses %j', async (location, code, problem) => {
    const error = await failure(() => checkLocation(location, 'layers.0.w'));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^tensor "layers\.0\.w": external data location ".*" /);
    expect(error.message).toContain(problem);
  });
});

// By comparing afterwards, through /proc and, where it is built, through the addon: the outcome is the same.
const everyWay = new Map<string, readonly OpenBeneath[]>([
  ['compare', []],
  ['walk', [walkBeneath]],
]);
const native = loadNative();
if (native !== undefined) everyWay.set('openat2', [native.openBeneath]);

describe.each([...everyWay])('openLocation (%s)', (_, ways) => {
  it.each(['w.data', './w.data', 'sub/w.data', 'sub/../w.data', 'a..b.bin'])(
    'opens %j',
    (location) => {
      workspace.write('m/model.onnx');
      for (const name of ['w.data', 'sub/w.data', 'a..b.bin']) workspace.write(`m/${name}`);
      const expected =
        location === 'sub/w.data' ? 'm/sub/w.data' : `m/${location.replace(/^.*\//, '')}`;
      expect(open('m/model.onnx', location, ways)).toBe(expected);
    },
  );

  it('opens for reading only', () => {
    workspace.write('m/model.onnx');
    workspace.write('m/w.data');
    const roots = modelRoots(workspace.path('m/model.onnx'));
    const { fd, path, realPath, stats } = openLocation(roots, 'w.data', 'w', ways);
    const flags = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
    const octal = /flags:\s+([0-7]+)/.exec(flags)?.[1] ?? '';
    expect(Number.parseInt(octal, 8) & (constants.O_WRONLY | constants.O_RDWR)).toBe(0);
    expect([path, realPath]).toEqual([workspace.path('m/w.data'), workspace.path('m/w.data')]);
    expect(stats.ino).toBe(fstatSync(fd, { bigint: true }).ino);
    closeSync(fd);
  });

  it('follows links that stay inside, of files and of directories', () => {
    workspace.write('m/model.onnx');
    workspace.write('m/deep/er/w.data');
    symlinkSync('deep/er/w.data', workspace.path('m/link.data'));
    symlinkSync('deep', workspace.path('m/shallow'));
    symlinkSync('deep/er', workspace.path('m/er'));
    workspace.write('m/deep/near.data');
    expect(open('m/model.onnx', 'link.data', ways)).toBe('m/deep/er/w.data');
    expect(open('m/model.onnx', 'shallow/er/w.data', ways)).toBe('m/deep/er/w.data');
    // As the system resolves it, through the link: not m/near.data.
    expect(open('m/model.onnx', 'er/../near.data', ways)).toBe('m/deep/near.data');
  });

  it('opens hard links and models behind a linked directory', () => {
    workspace.write('m/model.onnx');
    linkSync(workspace.write('elsewhere.data'), workspace.path('m/w.data'));
    symlinkSync('m', workspace.path('alias'));
    expect(open('alias/model.onnx', 'w.data', ways)).toBe('elsewhere.data');
  });

  it('reads a Hugging Face cache, whose snapshot links into blobs', () => {
    workspace.write('blobs/aaa', 'graph');
    workspace.write('blobs/bbb', 'weights');
    mkdirSync(workspace.path('snapshots/rev/onnx'), { recursive: true });
    symlinkSync('../../../blobs/aaa', workspace.path('snapshots/rev/onnx/model.onnx'));
    symlinkSync('../../../blobs/bbb', workspace.path('snapshots/rev/onnx/model.onnx_data'));
    expect(open('snapshots/rev/onnx/model.onnx', 'model.onnx_data', ways)).toBe('weights');
  });

  it('refuses a linked data file when the model itself is no link', async () => {
    workspace.write('m/model.onnx');
    workspace.write('blobs/bbb');
    symlinkSync('../blobs/bbb', workspace.path('m/w.data'));
    const error = await failure(() => open('m/model.onnx', 'w.data', ways));
    expect(error.code).toBe('ERR_PATH_ESCAPE');
    expect(error.message).toContain('"w.data" is a link out of the model directory');
    expect(error.hint).toContain('copy the file');
  });

  it('refuses links out through a directory, to an absolute path and to a sibling whose name begins alike', async () => {
    workspace.write('m/model.onnx');
    workspace.write('m-secret/w.data');
    symlinkSync('..', workspace.path('m/up'));
    symlinkSync('/etc/passwd', workspace.path('m/passwd'));
    for (const location of ['up/m-secret/w.data', 'passwd']) {
      const error = await failure(() => open('m/model.onnx', location, ways));
      expect(error.code).toBe('ERR_PATH_ESCAPE');
    }
  });

  it('refuses link loops', async () => {
    workspace.write('m/model.onnx');
    symlinkSync('b', workspace.path('m/a'));
    symlinkSync('a', workspace.path('m/b'));
    expect((await failure(() => open('m/model.onnx', 'a', ways))).code).toBe('ERR_PATH_ESCAPE');
  });

  it('refuses directories, FIFOs and devices without waiting for them', async () => {
    workspace.write('m/model.onnx');
    mkdirSync(workspace.path('m/directory'));
    execFileSync('mkfifo', [workspace.path('m/fifo')]);
    symlinkSync('/dev/zero', workspace.path('m/zero'));
    const messages = [];
    for (const location of ['directory', 'fifo']) {
      const error = await failure(() => open('m/model.onnx', location, ways));
      expect(error.code).toBe('ERR_EXTERNAL_DATA');
      messages.push(error.message);
    }
    expect(messages).toEqual([
      'tensor "w": external data location "directory" is a directory, not a regular file',
      'tensor "w": external data location "fifo" is a FIFO, not a regular file',
    ]);
    expect((await failure(() => open('m/model.onnx', 'zero', ways))).code).toBe('ERR_PATH_ESCAPE');
    const roots = modelRoots('/dev/null');
    const device = await failure(() => openLocation(roots, 'zero', 'w', ways));
    expect(device.message).toContain('is a device');
  });

  it('says which file is missing', async () => {
    workspace.write('m/model.onnx');
    workspace.write('m/file');
    symlinkSync('nothing', workspace.path('m/dangling'));
    for (const location of ['missing.data', 'file/x', 'dangling', 'missing/../file']) {
      const error = await failure(() => open('m/model.onnx', location, ways));
      expect(error).toBeInstanceOf(FormatError);
      expect(error.code).toBe('ERR_NOT_FOUND');
      expect(error.message).toContain(`external data file "${location}" is not in`);
    }
  });

  it('does not follow a file that turns into a link out while it is opened', async () => {
    workspace.write('secret', 'secret');
    workspace.write('m/model.onnx');
    workspace.write('m/w.data');
    const swap: OpenBeneath = () => {
      renameSync(workspace.path('m/w.data'), workspace.path('m/old'));
      symlinkSync('../secret', workspace.path('m/w.data'));
      return undefined;
    };
    const before = openDescriptors();
    const error = await failure(() => open('m/model.onnx', 'w.data', [swap, ...ways]));
    expect(error.code).toBe('ERR_PATH_ESCAPE');
    expect(openDescriptors()).toBe(before);
  });

  it('does not follow a directory that turns into a link out while it is opened', async () => {
    workspace.write('outside/w.data', 'secret');
    workspace.write('m/model.onnx');
    workspace.write('m/sub/w.data');
    const swap: OpenBeneath = () => {
      renameSync(workspace.path('m/sub'), workspace.path('m/old'));
      symlinkSync('../outside', workspace.path('m/sub'));
      return undefined;
    };
    const before = openDescriptors();
    const error = await failure(() => open('m/model.onnx', 'sub/w.data', [swap, ...ways]));
    expect(error.code).toBe('ERR_PATH_ESCAPE');
    expect(openDescriptors()).toBe(before);
  });

  it('refuses a file that turns into a FIFO while it is opened, without waiting', async () => {
    workspace.write('m/model.onnx');
    workspace.write('m/w.data');
    const swap: OpenBeneath = () => {
      renameSync(workspace.path('m/w.data'), workspace.path('m/old'));
      execFileSync('mkfifo', [workspace.path('m/w.data')]);
      return undefined;
    };
    const before = openDescriptors();
    const error = await failure(() => open('m/model.onnx', 'w.data', [swap, ...ways]));
    expect(error.message).toContain('is a FIFO');
    expect(openDescriptors()).toBe(before);
  });
});

describe('openLocation where containers forbid openat2', () => {
  it('opens without it', () => {
    workspace.write('m/model.onnx');
    workspace.write('m/w.data', 'content');
    const forbidden: OpenBeneath = () => {
      throw Object.assign(new Error('operation not permitted'), { code: 'EPERM' });
    };
    expect(open('m/model.onnx', 'w.data', [forbidden])).toBe('content');
  });
});
