import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ResourceError, UsageError } from '../../src/errors.ts';
import { copyAssets, listAssets } from '../../src/external-data/assets.ts';
import {
  type StagedOutput,
  type StageOptions,
  stageOutput,
} from '../../src/external-data/commit.ts';
import { checkFreeSpace } from '../../src/external-data/disk.ts';
import { freshName } from '../../src/external-data/layout.ts';
import { modelRoots } from '../../src/external-data/location.ts';
import { outputModelName } from '../../src/external-data/output.ts';
import { loadNative } from '../../src/native.ts';
import { exchangeByRenames, filesBelow, versionOf, writePackage } from './package-state.ts';
import { failure, useWorkspace } from './workspace.ts';

const workspace = useWorkspace();

/** Writes version `new` into a staged output under the names it allows. */
function fill(staged: StagedOutput, model = 'model.onnx') {
  const data = freshName(`${model}.data`, (name) => staged.isNameTaken(name));
  writePackage(staged.directory, model, 'new', data);
  return { model, data: [data] };
}

function writeOld(directory = 'out'): string {
  const path = workspace.path(directory);
  writePackage(path, 'model.onnx', 'old', 'model.onnx.data');
  workspace.write(`${directory}/tokenizer.json`, 'old');
  return path;
}

const renameExchange = loadNative()?.renameExchange ?? exchangeByRenames;

describe('a new directory', () => {
  it('appears whole, with its parents', async () => {
    const output = workspace.path('a/b/out');
    const staged = await stageOutput(output);
    expect(staged.mode).toBe('rename');
    const files = fill(staged);
    expect(files.data).toEqual(['model.onnx.data']);
    expect(existsSync(output)).toBe(false);
    const result = await staged.commit(files);
    expect(result).toEqual({
      directory: output,
      modelPath: join(output, 'model.onnx'),
      leftovers: [],
    });
    expect(versionOf(result.modelPath)).toBe('new');
    expect(filesBelow(workspace.path('a'))).toEqual([
      'b',
      'b/out',
      'b/out/model.onnx',
      'b/out/model.onnx.data',
    ]);
    await staged.abort();
    expect(versionOf(result.modelPath)).toBe('new');
  });

  it('has the permissions of any new directory', async () => {
    mkdirSync(workspace.path('plain'));
    const staged = await stageOutput(workspace.path('out'));
    await staged.commit(fill(staged));
    expect(statSync(workspace.path('out')).mode).toBe(statSync(workspace.path('plain')).mode);
  });

  it('leaves no trace when given up, twice', async () => {
    const staged = await stageOutput(workspace.path('a/b/out'));
    fill(staged);
    await staged.abort();
    await staged.abort();
    expect(filesBelow(workspace.path('.'))).toEqual([]);
  });

  it('is flushed before it is visible, unless that is not wanted', async () => {
    for (const [sync, expected] of [
      [true, ['sync-files', 'rename', 'sync-parent']],
      [false, ['rename']],
    ] as const) {
      const steps: string[] = [];
      const output = workspace.path(`out-${sync}`);
      const staged = await stageOutput(output, {
        sync,
        beforeStep: (step) => void steps.push(step),
      });
      await staged.commit(fill(staged));
      expect(steps).toEqual(expected);
      expect(versionOf(join(output, 'model.onnx'))).toBe('new');
    }
  });

  it('is given up at the end of its scope', async () => {
    {
      await using staged = await stageOutput(workspace.path('out'));
      fill(staged);
    }
    expect(filesBelow(workspace.path('.'))).toEqual([]);
  });

  it('does not appear without its files, nor twice', async () => {
    const staged = await stageOutput(workspace.path('out'));
    const files = fill(staged);
    const missing = await failure(() => staged.commit({ ...files, data: ['other.data'] }));
    expect(missing.message).toContain('other.data is missing');
    expect(existsSync(workspace.path('out'))).toBe(false);
    await staged.commit(files);
    await expect(staged.commit(files)).rejects.toThrow('already committed');
  });

  it('does not replace what appeared meanwhile', async () => {
    const staged = await stageOutput(workspace.path('out'));
    const files = fill(staged);
    writeOld();
    const error = await failure(() => staged.commit(files));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.code).toBe('ERR_OUTPUT_EXISTS');
    await staged.abort();
    expect(versionOf(workspace.path('out/model.onnx'))).toBe('old');
    expect(readdirSync(workspace.path('.'))).toEqual(['out']);
  });

  it('takes the place of an empty one and keeps its permissions', async () => {
    mkdirSync(workspace.path('out'));
    chmodSync(workspace.path('out'), 0o2750);
    const staged = await stageOutput(workspace.path('out'));
    expect(staged.mode).toBe('rename');
    await staged.commit(fill(staged));
    expect(versionOf(workspace.path('out/model.onnx'))).toBe('new');
    expect(statSync(workspace.path('out')).mode & 0o7777).toBe(0o2750);
  });

  it('may have a name as long as names get', async () => {
    const name = 'é'.repeat(127);
    const staged = await stageOutput(workspace.path(name));
    await staged.commit(fill(staged));
    expect(readdirSync(workspace.path('.'))).toEqual([name]);
  });
});

const ways: [string, Partial<StageOptions>, string][] = [
  ['exchange', { renameExchange }, 'exchange'],
  ['place', {}, 'place'],
  [
    'place where the file system cannot exchange',
    {
      renameExchange: () => {
        throw Object.assign(new Error('invalid argument'), { code: 'EINVAL' });
      },
    },
    'place',
  ],
];

describe.each(ways)('a forced replacement (%s)', (_, options, mode) => {
  it('leaves exactly the new files', async () => {
    const output = writeOld();
    workspace.write('out/templates/old.jinja');
    workspace.write('out/decoder/model.onnx');
    const staged = await stageOutput(output, { ...options, force: true });
    expect(staged.mode).toBe(mode);
    const files = fill(staged);
    writeFileSync(join(staged.directory, 'tokenizer.json'), 'new');
    mkdirSync(join(staged.directory, 'templates'));
    writeFileSync(join(staged.directory, 'templates/a.jinja'), 'new');
    expect(versionOf(join(output, 'model.onnx'))).toBe('old');
    const result = await staged.commit(files);
    expect(result.leftovers).toEqual([]);
    expect(versionOf(result.modelPath)).toBe('new');
    expect(readFileSync(join(output, 'tokenizer.json'), 'utf8')).toBe('new');
    const expected = [
      'model.onnx',
      ...files.data,
      'templates',
      'templates/a.jinja',
      'tokenizer.json',
    ];
    expect(filesBelow(output)).toEqual(expected.sort());
    expect(readdirSync(workspace.path('.'))).toEqual(['out']);
  });

  it('keeps the old one when given up', async () => {
    const output = writeOld();
    const before = filesBelow(workspace.path('.'));
    const staged = await stageOutput(output, { ...options, force: true });
    fill(staged);
    await staged.abort();
    expect(filesBelow(workspace.path('.'))).toEqual(before);
    expect(versionOf(join(output, 'model.onnx'))).toBe('old');
  });

  it('replaces what a link leads to and keeps the link', async () => {
    const output = writeOld('disk/out');
    symlinkSync('disk/out', workspace.path('link'));
    const staged = await stageOutput(workspace.path('link'), { ...options, force: true });
    const result = await staged.commit(fill(staged));
    expect(result.directory).toBe(workspace.path('link'));
    expect(versionOf(join(output, 'model.onnx'))).toBe('new');
    expect(readdirSync(workspace.path('disk'))).toEqual(['out']);
  });
});

describe('an exchange that may not be on the disk yet', () => {
  it('keeps the old model beside the new one', async () => {
    const output = writeOld();
    const staged = await stageOutput(output, {
      force: true,
      renameExchange,
      beforeStep(step) {
        if (step === 'sync-parent') throw new ResourceError('ERR_IO', 'the disk fails');
      },
    });
    const error = await failure(() => staged.commit(fill(staged)));
    expect(error.code).toBe('ERR_IO');
    await staged.abort();
    expect(versionOf(join(output, 'model.onnx'))).toBe('new');
    expect(versionOf(join(staged.directory, 'model.onnx'))).toBe('old');
  });
});

describe('placing files', () => {
  it('gives data a name that the old model does not use', async () => {
    const output = writeOld();
    const staged = await stageOutput(output, { force: true });
    expect(staged.isNameTaken('model.onnx.data')).toBe(true);
    expect(staged.isNameTaken('model.onnx.data/below')).toBe(false);
    await staged.abort();
  });

  it('never replaces a data file, forced or not', async () => {
    const output = writeOld();
    const staged = await stageOutput(output, { force: true });
    writePackage(staged.directory, 'model.onnx', 'new', 'model.onnx.data');
    const files = { model: 'model.onnx', data: ['model.onnx.data'] };
    const error = await failure(() => staged.commit(files));
    expect(error.code).toBe('ERR_OUTPUT_EXISTS');
    expect(error.message).toContain('model.onnx.data exists; nothing was replaced');
    await staged.abort();
    expect(versionOf(join(output, 'model.onnx'))).toBe('old');
    expect(filesBelow(output)).toEqual(['model.onnx', 'model.onnx.data', 'tokenizer.json']);
  });

  it('does not write through a link in the old directory', async () => {
    const output = writeOld();
    mkdirSync(workspace.path('elsewhere'));
    symlinkSync('../elsewhere', join(output, 'weights'));
    const staged = await stageOutput(output, { force: true });
    writePackage(staged.directory, 'model.onnx', 'new', 'weights/a.data');
    const files = { model: 'model.onnx', data: ['weights/a.data'] };
    expect((await failure(() => staged.commit(files))).message).toContain('is in the way');
    await staged.abort();
    expect(readdirSync(workspace.path('elsewhere'))).toEqual([]);
    expect(versionOf(join(output, 'model.onnx'))).toBe('old');
  });

  it('takes back what it placed when a later step fails', async () => {
    const output = writeOld();
    const staged = await stageOutput(output, {
      force: true,
      beforeStep(step) {
        if (step === 'place-model') throw Object.assign(new Error('disk'), { code: 'EIO' });
      },
    });
    const error = await failure(() => staged.commit(fill(staged)));
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.message).toBe(`replacing ${output}: input/output error`);
    await staged.abort();
    expect(filesBelow(output)).toEqual(['model.onnx', 'model.onnx.data', 'tokenizer.json']);
  });

  it('does not pull the working directory away from a shell', async () => {
    const output = workspace.path('out');
    mkdirSync(output);
    const inode = statSync(output).ino;
    const previous = process.cwd();
    process.chdir(output);
    try {
      const staged = await stageOutput('.');
      expect(staged.mode).toBe('place');
      await staged.commit(fill(staged));
    } finally {
      process.chdir(previous);
    }
    expect(versionOf(join(output, 'model.onnx'))).toBe('new');
    expect(statSync(output).ino).toBe(inode);
    expect(filesBelow(output)).toEqual(['model.onnx', 'model.onnx.data']);
  });
});

describe('a named model file', () => {
  it('joins what the directory has', async () => {
    const output = writeOld();
    const staged = await stageOutput(join(output, 'small.onnx'));
    expect(outputModelName(staged.target, 'in/model.onnx')).toBe('small.onnx');
    const result = await staged.commit(fill(staged, 'small.onnx'));
    expect(result.modelPath).toBe(join(output, 'small.onnx'));
    expect(versionOf(join(output, 'small.onnx'))).toBe('new');
    expect(versionOf(join(output, 'model.onnx'))).toBe('old');
    expect(filesBelow(output)).toEqual([
      'model.onnx',
      'model.onnx.data',
      'small.onnx',
      'small.onnx.data',
      'tokenizer.json',
    ]);
  });

  it('makes the directory when there is none', async () => {
    const staged = await stageOutput(workspace.path('new/small.onnx'));
    const result = await staged.commit(fill(staged, 'small.onnx'));
    expect(result.modelPath).toBe(workspace.path('new/small.onnx'));
    expect(versionOf(result.modelPath)).toBe('new');
  });

  it('replaces the model in place and keeps the data that others may use', async () => {
    const output = writeOld();
    const model = join(output, 'model.onnx');
    const inputPaths = [model, join(output, 'model.onnx.data')];
    const staged = await stageOutput(model, { replacesInput: true, inputPaths });
    await staged.commit(fill(staged));
    expect(versionOf(model)).toBe('new');
    expect(readFileSync(join(output, 'model.onnx.data'), 'utf8')).toBe('weights of old');
    expect(filesBelow(output)).toEqual([
      'model.onnx',
      'model.onnx.1.data',
      'model.onnx.data',
      'tokenizer.json',
    ]);
  });

  it('does not replace a model that appeared meanwhile', async () => {
    mkdirSync(workspace.path('out'));
    const staged = await stageOutput(workspace.path('out/model.onnx'));
    const files = fill(staged);
    workspace.write('out/model.onnx', 'mine');
    expect((await failure(() => staged.commit(files))).code).toBe('ERR_OUTPUT_EXISTS');
    await staged.abort();
    expect(filesBelow(workspace.path('out'))).toEqual(['model.onnx']);
  });
});

describe('leftovers of killed runs', () => {
  /** Number of a process that has ended. */
  function deadProcess(): number {
    return Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
  }

  async function stagingName(output: string): Promise<string> {
    const staged = await stageOutput(output);
    await staged.abort();
    return staged.directory;
  }

  it('go when their process is gone and they are ours', async () => {
    const output = workspace.path('out');
    const own = await stagingName(output);
    const ofDead = own.replace(`lathe-${process.pid}-`, `lathe-${deadProcess()}-`);
    const ofOther = own.replace(/-[0-9a-f]{8}-/, '-00000000-').replace(`${process.pid}`, '999999');
    const otherOutput = ofDead.replace('.out.', '.other.');
    for (const directory of [own, ofDead, ofOther, otherOutput]) {
      writePackage(directory, 'model.onnx', 'partial', 'w.data');
    }
    const file = workspace.write('.out.lathe-notes');
    const staged = await stageOutput(output);
    await staged.abort();
    expect([own, ofDead, ofOther, otherOutput, file].map(existsSync)).toEqual([
      true,
      false,
      true,
      true,
      true,
    ]);
  });

  it('go from inside the output too', async () => {
    const output = writeOld();
    const own = await stagingName(workspace.path('model.onnx'));
    const name = own
      .slice(own.lastIndexOf('/'))
      .replace(`lathe-${process.pid}-`, `lathe-${deadProcess()}-`);
    mkdirSync(join(output, name));
    const staged = await stageOutput(join(output, 'model.onnx'), { force: true });
    await staged.abort();
    expect(existsSync(join(output, name))).toBe(false);
  });

  it('are named after the machine, so that a shared disk is safe', async () => {
    expect(await stagingName(workspace.path('out'))).toMatch(
      /\/\.out\.lathe-\d+-[0-9a-f]{8}-[0-9a-f]{12}$/,
    );
  });
});

describe('freshName', () => {
  it('counts before the extension', () => {
    const taken = new Set(['model.onnx_data', 'model.1.onnx_data', 'w']);
    expect(freshName('model.onnx.data', (name) => taken.has(name))).toBe('model.onnx.data');
    expect(freshName('model.onnx_data', (name) => taken.has(name))).toBe('model.2.onnx_data');
    expect(freshName('w', (name) => taken.has(name))).toBe('w.1');
    const numbered = new Set(['model.onnx.1.data', 'model.onnx.data', '7']);
    expect(freshName('model.onnx.1.data', (name) => numbered.has(name))).toBe('model.onnx.2.data');
    expect(freshName('7', (name) => numbered.has(name))).toBe('7.1');
  });
});

describe('checkFreeSpace', () => {
  it('compares with the disk, also below directories that do not exist yet', async () => {
    checkFreeSpace(workspace.path('a/b/c'), 1);
    const error = await failure(() =>
      checkFreeSpace(workspace.path('a/b/c'), Number.MAX_SAFE_INTEGER),
    );
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.code).toBe('ERR_NO_SPACE');
    expect(error.message).toMatch(
      /needs 8192 TiB \(9007199254740991 bytes\), .* \(\d+ bytes\) are free$/,
    );
  });

  it('lets systems without figures pass', () => {
    checkFreeSpace('/proc', Number.MAX_SAFE_INTEGER);
  });
});

describe('a place that cannot be written to', () => {
  it('is a ResourceError that names it', async () => {
    // The superuser passes permissions, but not sysfs.
    const closed = process.getuid?.() === 0 ? '/sys' : workspace.path('closed');
    if (closed !== '/sys') mkdirSync(closed, { mode: 0o555 });
    const error = await failure(() => stageOutput(join(closed, 'out')));
    expect(error).toBeInstanceOf(ResourceError);
    expect(error.code).toBe('ERR_PERMISSION');
    expect(error.message).toContain(`writing to ${closed}/out: `);
    if (closed !== '/sys') chmodSync(closed, 0o755);
  });
});

/** Runs `body` with a file system of its own mounted at `directory`, which takes the right to mount. */
async function withMount(
  directory: string,
  options: string,
  body: () => Promise<void>,
): Promise<void> {
  mkdirSync(directory, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory]);
  try {
    await body();
  } finally {
    execFileSync('umount', [directory]);
  }
}

describe('an output on a file system of its own', () => {
  it('is filled from inside when it is a mount point', async () => {
    const output = workspace.path('volume');
    await withMount(output, 'size=1m', async () => {
      expect(() => rmdirSync(output)).toThrow('EBUSY');
      const first = await stageOutput(output, { renameExchange });
      expect(first.mode).toBe('place');
      const firstFiles = fill(first);
      expect(firstFiles.data).toEqual(['model.onnx.data']);
      await first.commit(firstFiles);
      const second = await stageOutput(output, { renameExchange, force: true });
      expect(second.mode).toBe('place');
      await second.commit(fill(second));
      expect(versionOf(join(output, 'model.onnx'))).toBe('new');
      expect(filesBelow(output)).toEqual(['model.onnx', 'model.onnx.1.data']);
    });
    expect(readdirSync(workspace.path('.'))).toEqual(['volume']);
  });

  it('is filled from inside when it is a bind mount of the same file system', async () => {
    const output = workspace.path('bound');
    const volume = workspace.path('disk');
    await withMount(volume, 'size=1m', async () => {
      for (const path of [join(volume, 'a'), join(volume, 'b')]) mkdirSync(path);
      mkdirSync(output);
      execFileSync('mount', ['--bind', join(volume, 'a'), join(volume, 'b')]);
      try {
        const staged = await stageOutput(join(volume, 'b'), { renameExchange });
        expect(staged.mode).toBe('place');
        await staged.commit(fill(staged));
        expect(versionOf(join(volume, 'a/model.onnx'))).toBe('new');
      } finally {
        execFileSync('umount', [join(volume, 'b')]);
      }
    });
  });

  it('says that it is full, and keeps the old model', async () => {
    const model = workspace.write('p/model.onnx');
    truncateSync(workspace.write('p/tokenizer.json'), 2 ** 21);
    const volume = workspace.path('volume');
    await withMount(volume, 'size=1m', async () => {
      writePackage(join(volume, 'out'), 'model.onnx', 'old', 'w.data');
      const needed = await failure(() => checkFreeSpace(join(volume, 'out'), 2 ** 21));
      expect(needed.message).toContain('needs 2.00 MiB (2097152 bytes)');
      const staged = await stageOutput(join(volume, 'out'), { force: true });
      const { assets } = listAssets(modelRoots(model), [model]);
      const error = await failure(() => copyAssets(assets, staged.directory));
      expect(error.code).toBe('ERR_NO_SPACE');
      expect(error.message).toBe('copying tokenizer.json: no space left on the device');
      await staged.abort();
      expect(versionOf(join(volume, 'out/model.onnx'))).toBe('old');
      expect(readdirSync(volume)).toEqual(['out']);
    });
  });

  it('says that it is read-only', async () => {
    const volume = workspace.path('volume');
    await withMount(volume, 'size=1m', async () => {
      execFileSync('mount', ['-o', 'remount,ro', volume]);
      const error = await failure(() => stageOutput(join(volume, 'out')));
      expect(error).toBeInstanceOf(ResourceError);
      expect(error.message).toBe(`writing to ${join(volume, 'out')}: read-only file system`);
    });
  });
});
