import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cli, cliHere, repositoryPath } from '../support/cli.ts';
import { writeTiny } from './tiny-model.ts';
import { snapshot } from './tree.ts';

let root = '';
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-cli-')));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const EXAMPLE = repositoryPath('examples/austen-tiny/mobius-fp16');
const TOKENS = repositoryPath('examples/austen-tiny/heldout.tokens.json');
const COMMANDS = [
  'inspect',
  'check',
  'shrink',
  'apply',
  'repack',
  'evaluate',
  'surgeries',
  'doctor',
];

/** Size of a file as the last line of a run writes it. */
const SIZE = String.raw`\d+(\.\d+)? (B|KiB|MiB|GiB)`;

function json(text: string): Record<string, unknown> {
  const value = JSON.parse(text) as Record<string, unknown>;
  expect(value['schemaVersion']).toBe(1);
  return value;
}

/** A package: model, data, tokenizer. */
function writePackage(directory: string): string {
  writeTiny(directory);
  writeFileSync(join(directory, 'tokenizer.json'), '{"model":{}}');
  return directory;
}

describe('help and version', () => {
  it('prints the version of tool, kernels and Node', () => {
    for (const flag of ['--version', '-V']) {
      const { status, stdout, stderr } = cli([flag]);
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(/^onnx-lathe \d+\.\d+\.\d+, kernels .+, Node v\d+\.\d+\.\d+\n$/);
    }
  });

  it('prints help on stdout when asked, with every command and exit code', () => {
    const { status, stdout, stderr } = cli(['--help']);
    expect([status, stderr]).toEqual([0, '']);
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
    expect(stdout).toContain('Exit codes: 0 done');
    expect(cli(['help']).stdout).toBe(stdout);
  });

  it('prints the same help on stderr in place of a missing command', () => {
    const { status, stdout, stderr } = cli([]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toBe(cli(['--help']).stdout);
  });

  it.each(COMMANDS)('explains %s', async (command) => {
    const { status, stdout, stderr } = await cliHere([command, '--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^Usage: onnx-lathe ${command} `));
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });
});

describe('inspect', () => {
  it('says what the example is', () => {
    const { status, stdout, stderr } = cli(['inspect', EXAMPLE]);
    expect([status, stderr]).toEqual([0, '']);
    const rows = Object.fromEntries(
      stdout.split('\n').map((line) => [line.slice(0, 12).trim(), line.slice(12)]),
    );
    expect(rows['model']).toBe(`${join(EXAMPLE, 'model.onnx')} (7.80 MiB)`);
    expect(rows['written by']).toBe('mobius 0.1.0; IR 11, ai.onnx 24, com.microsoft 1');
    expect(rows['graph']).toBe('78 nodes, 41 tensors, 4 layers with state');
    expect(stdout).toMatch(/^ +int64: 1 tensor, 8 B$/m);
    expect(rows['weights']).toBe('4030464 (16.0 bits each)');
    expect(rows['embedding']).toBe('model.embed_tokens.weight [4096, 256] fp16, 2.00 MiB');
    expect(rows['head']).toBe(rows['embedding']);
    expect(rows['tied']).toBe('same tensor');
    expect(rows['data']).toBe('model.onnx.data: 7.75 MiB, 60928 bytes unused');
    expect(stdout).toContain(`to shrink it: onnx-lathe shrink ${EXAMPLE} -o DIR\n`);
  });

  it('says the same as JSON', async () => {
    const { status, stdout, stderr } = await cliHere(['inspect', EXAMPLE, '--json']);
    expect([status, stderr]).toEqual([0, '']);
    expect(json(stdout)).toMatchObject({
      path: join(EXAMPLE, 'model.onnx'),
      byteLength: 8_175_636,
      nodes: 78,
      tie: 'same tensor',
      layers: 4,
      embedding: { rows: 4096, columns: 256, storage: 'fp16', byteLength: 2_097_152 },
    });
  });

  it('finds the one table of its own result, and nothing left to shrink', async () => {
    const out = join(root, 'out');
    expect((await cliHere(['shrink', EXAMPLE, '-o', out, '--recipe', 'q4-small'])).status).toBe(0);
    const { stdout } = await cliHere(['inspect', out]);
    expect(stdout).toMatch(/^tied +same bytes$/m);
    expect(stdout).toMatch(/^embedding .* 4-bit, blocks of 32, 592 KiB$/m);
    expect(stdout).not.toContain('to shrink it');
  });
});

it('inspect suggests a command that a shell understands', async () => {
  writeTiny(join(root, "it's $here"));
  const { stdout } = await cliHere(['inspect', "it's $here"], { cwd: root });
  expect(stdout).toContain("to shrink it: onnx-lathe shrink 'it'\\''s $here' -o DIR\n");
});

describe('shrink', () => {
  it('ends with the line that sums it up', () => {
    writePackage(join(root, 'in'));
    const { status, stdout, stderr } = cli(['shrink', 'in', '-o', 'out'], { cwd: root });
    expect(status).toBe(0);
    expect(stdout).toMatch(
      new RegExp(
        `^model\\.onnx \\(24\\.4 KiB\\) → out/model\\.onnx \\(${SIZE}, \\d+\\.\\d bits/weight\\) in \\d+\\.\\d s, peak ${SIZE}\\n$`,
      ),
    );
    expect(stderr.split('\n')).toContain('quantize-embedding: /embed: 8-bit table [96, 32]');
    expect(stderr).toMatch(
      /^tie-word-embeddings: left \/head: not tied: 3072 of 3072 compared elements/m,
    );
    expect(readdirSync(join(root, 'out')).sort()).toEqual([
      'model.onnx',
      'model.onnx.data',
      'tokenizer.json',
    ]);
    expect(readdirSync(root).sort()).toEqual(['in', 'out']);
  });

  it('-q prints the path and nothing else', async () => {
    writePackage(join(root, 'in'));
    const result = await cliHere(['shrink', 'in', '-o', 'out', '-q'], { cwd: root });
    expect(result).toMatchObject({ status: 0, stdout: 'out/model.onnx\n', stderr: '' });
    const dryRun = await cliHere(['shrink', 'in', '-n', '-q'], { cwd: root });
    expect(dryRun).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('-v names every tensor it changed', async () => {
    const short = await cliHere(['shrink', EXAMPLE, '-n']);
    const long = await cliHere(['shrink', EXAMPLE, '-n', '-v']);
    expect(short.stderr).toMatch(/^quantize-matmul: \S+ and 27 more: 4-bit weight/m);
    expect(long.stderr.match(/^quantize-matmul: /gm)).toHaveLength(28);
    expect(long.stdout).toMatch(/^ {2}made +uint8 +\[4096, 4, 64\] +1048576 +\S+$/m);
    expect(short.stdout).not.toContain('made');
  });

  it('--dry-run prints the sizes the run then writes, and touches nothing', async () => {
    writePackage(join(root, 'in'));
    const before = snapshot(root);
    const planned = await cliHere(['shrink', 'in', '-o', 'out', '-n'], { cwd: root });
    expect(planned.status).toBe(0);
    expect(planned.stdout).toMatch(/ → out \(.*\); dry run, nothing was written\n$/);
    expect(planned.stdout).toContain('also copied: tokenizer.json\n');
    expect(snapshot(root)).toEqual(before);
    expect((await cliHere(['shrink', 'in', '-o', 'out'], { cwd: root })).status).toBe(0);
    for (const name of ['model.onnx', 'model.onnx.data']) {
      const size = statSync(join(root, 'out', name)).size;
      expect(planned.stdout).toMatch(new RegExp(`^${name} +${size} bytes `, 'm'));
    }
  });

  it('--json reports what is on the disk, on stdout alone', async () => {
    writePackage(join(root, 'in'));
    const result = await cliHere(['shrink', 'in', '-o', 'out', '--json'], { cwd: root });
    expect([result.status, result.stderr]).toEqual([0, '']);
    const report = json(result.stdout);
    expect(report).toMatchObject({
      recipe: 'q4',
      changed: true,
      dryRun: false,
      assets: ['tokenizer.json'],
      weights: 6144,
      warnings: [
        'the embedding has blocks of 32: 32 columns do not make a whole number of blocks of 64',
      ],
      input: { path: 'in/model.onnx' },
    });
    const output = report['output'] as { files: { name: string; byteLength: number }[] };
    expect(output.files.map(({ name }) => name)).toEqual(['model.onnx', 'model.onnx.data']);
    for (const { name, byteLength } of output.files) {
      expect(statSync(join(root, 'out', name)).size).toBe(byteLength);
    }
  });

  it('--no-assets leaves the other files behind', async () => {
    writePackage(join(root, 'in'));
    expect(
      (await cliHere(['shrink', 'in', '-o', 'out', '--no-assets'], { cwd: root })).status,
    ).toBe(0);
    expect(readdirSync(join(root, 'out')).sort()).toEqual(['model.onnx', 'model.onnx.data']);
  });

  it('--no-sync makes the same files, and replaces none', async () => {
    writePackage(join(root, 'in'));
    await cliHere(['shrink', 'in', '-o', 'out'], { cwd: root });
    const result = await cliHere(['shrink', 'in', '-o', 'fast', '--no-sync'], { cwd: root });
    expect(result.status).toBe(0);
    for (const name of ['model.onnx', 'model.onnx.data']) {
      expect(readFileSync(join(root, 'fast', name))).toEqual(readFileSync(join(root, 'out', name)));
    }
    for (const place of [['-o', 'out', '--force'], ['--in-place']]) {
      const refused = await cliHere(['shrink', 'in', ...place, '--no-sync'], { cwd: root });
      expect([refused.status, refused.stderr]).toEqual([
        2,
        'onnx-lathe: an output that is not flushed cannot replace anything\n  write to a new output, or leave out --no-sync\n',
      ]);
    }
  });

  it('-o NAME.onnx names the model, beside what is there', async () => {
    writePackage(join(root, 'in'));
    mkdirSync(join(root, 'models'));
    writeFileSync(join(root, 'models', 'other.txt'), 'mine');
    const result = await cliHere(['shrink', 'in', '-o', 'models/small.onnx', '--no-assets'], {
      cwd: root,
    });
    expect(result.status).toBe(0);
    expect(result.stdout).toContain(' → models/small.onnx (');
    expect(readdirSync(join(root, 'models')).sort()).toEqual([
      'other.txt',
      'small.onnx',
      'small.onnx.data',
    ]);
    expect((await cliHere(['inspect', 'models/small.onnx'], { cwd: root })).status).toBe(0);
  });

  it('--component chooses one model of a package', async () => {
    writePackage(join(root, 'in', 'decoder'));
    writePackage(join(root, 'in', 'encoder'));
    const args = ['shrink', 'in', '-o', 'out', '--component', 'decoder', '--json'];
    const { status, stdout } = await cliHere(args, { cwd: root });
    expect(status).toBe(0);
    expect(json(stdout)).toMatchObject({
      input: { path: 'in/decoder/model.onnx' },
      skipped: expect.arrayContaining([expect.objectContaining({ name: 'encoder/model.onnx' })]),
    });
  });

  it('gives the same bytes for every budget, thread count and way to read', async () => {
    const run = async (name: string, args: readonly string[], env?: Record<string, string>) => {
      const out = join(root, name);
      const command = ['shrink', EXAMPLE, '-o', out, '-q', ...args];
      // Which kernels there are is settled once in a process.
      const result = env === undefined ? await cliHere(command) : cli(command, { env });
      expect([name, result.status, result.stderr]).toEqual([name, 0, '']);
      return snapshot(out);
    };
    const expected = await run('default', [], {});
    for (const [name, args, env] of [
      ['one-thread', ['--threads', '1']],
      ['five-threads', ['--threads', '5']],
      ['small-budget', ['--memory', '1MiB']],
      ['mmap', ['--io', 'mmap']],
      ['pread', ['--io', 'pread', '--memory', '300k', '--threads', '3']],
      ['wasm', [], { LATHE_NATIVE: 'off' }],
      ['typescript', [], { LATHE_NATIVE: 'off', LATHE_ISA: 'typescript' }],
      ['plain', [], { LATHE_ISA: 'plain' }],
    ] as const) {
      expect([name, await run(name, args, env)]).toEqual([name, expected]);
    }
  });
});

describe('apply', () => {
  it('runs surgeries in the order given, with their options', () => {
    writePackage(join(root, 'in'));
    const args = ['apply', 'in', '-o', 'out', '--json'];
    args.push('--surgery', 'quantize-embedding:bits=4,block-size=16', '--surgery', 'RemoveUnused');
    const { status, stdout, stderr } = cli(args, { cwd: root });
    expect([status, stderr]).toEqual([0, '']);
    expect(json(stdout)).toMatchObject({
      recipe: 'apply',
      steps: [{ surgery: 'quantize-embedding' }, { surgery: 'remove-unused' }],
    });
    const after = json(cli(['inspect', 'out', '--json'], { cwd: root }).stdout);
    expect(after).toMatchObject({
      embedding: { storage: '4-bit, blocks of 16' },
      head: { storage: 'fp32' },
    });
  });

  it('exits with 1 and writes nothing when nothing applies', async () => {
    writePackage(join(root, 'in'));
    const before = snapshot(root);
    const args = ['apply', 'in', '-o', 'out', '--surgery', 'remove-unused'];
    const plain = await cliHere(args, { cwd: root });
    expect(plain).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'nothing changed, nothing was written\n',
    });
    const report = await cliHere([...args, '--json'], { cwd: root });
    expect([report.status, report.stderr]).toEqual([1, '']);
    expect(json(report.stdout)).toMatchObject({ changed: false });
    expect(snapshot(root)).toEqual(before);
  });

  it('says why a surgery left a node alone', async () => {
    writePackage(join(root, 'in'));
    const args = ['apply', 'in', '-o', 'out', '--surgery', 'tie-word-embeddings'];
    const { status, stderr } = await cliHere(args, { cwd: root });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^tie-word-embeddings: left \/head: not tied: \d+ of 3072 compared elements/,
    );
  });
});

describe('evaluate', () => {
  const args = ['evaluate', EXAMPLE, '--tokens', TOKENS, '--max-windows', '1', '--threads', '1'];

  it('prints the perplexity in one line', () => {
    const { status, stdout, stderr } = cli(args);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /model\.onnx: perplexity \d+\.\d{3} over 1 window of 256 tokens \(255 scored\)\n$/,
    );
  });

  it('prints all of it as JSON, and progress on stderr', async () => {
    const { status, stdout, stderr } = await cliHere([
      ...args,
      '--window',
      '16',
      '--json',
      '--progress',
      'json',
    ]);
    expect(status).toBe(0);
    expect(json(stdout)).toMatchObject({ windows: 1, windowTokens: 16, scoredTokens: 15 });
    expect(JSON.parse(stderr)).toEqual({ progress: { phase: 'evaluating', done: 1, total: 1 } });
  });

  it('says which file of tokens is missing or is none', async () => {
    writeFileSync(join(root, 'words.json'), '["a"]');
    for (const [name, exit] of [
      ['nowhere.json', 2],
      ['words.json', 3],
    ] as const) {
      const { status, stdout, stderr } = await cliHere([
        'evaluate',
        EXAMPLE,
        '--tokens',
        join(root, name),
      ]);
      expect([status, stdout]).toEqual([exit, '']);
      expect(stderr).toMatch(new RegExp(`^onnx-lathe: .*${name}: .+\\n(  .+\\n)?$`));
    }
  });
});

describe('surgeries and doctor', () => {
  it('lists the surgeries, and one with its options', async () => {
    const list = cli(['surgeries']);
    expect(list.status).toBe(0);
    expect(list.stdout).toMatch(/^quantize-matmul {2,}\S/m);
    const one = await cliHere(['surgeries', 'quantize-matmul']);
    expect(one.stdout).toMatch(/^ {2}block-size=16\|32\|64\|128\|256 +.* \(default 32\)$/m);
    const { surgeries } = json((await cliHere(['surgeries', '--json'])).stdout);
    const names = (surgeries as { name: string }[]).map(({ name }) => name);
    expect(names).toEqual(
      list.stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[0]),
    );
  });

  it('says which kernels are in use and why', () => {
    const off = { env: { LATHE_NATIVE: 'off' } };
    expect(cli(['doctor'], off).stdout).toMatch(
      /^kernels +WebAssembly \(no addon: LATHE_NATIVE=off\)$/m,
    );
    expect(cli(['doctor'], { env: { LATHE_ISA: 'typescript', LATHE_NATIVE: '' } }).stdout).toMatch(
      /^kernels +TypeScript \(LATHE_ISA=typescript\)$/m,
    );
    const typescript = { env: { LATHE_NATIVE: 'off', LATHE_ISA: 'typescript' } };
    expect(cli(['doctor'], typescript).stdout).toMatch(
      /^kernels +TypeScript \(no addon: LATHE_NATIVE=off; LATHE_ISA=typescript\)$/m,
    );
    const report = json(cli(['doctor', '--json'], off).stdout);
    expect(report).toMatchObject({
      node: process.version,
      native: { loaded: false, reason: 'LATHE_NATIVE=off' },
      wasm: { loaded: true },
    });
  });

  it.each(['doctor', '--version'])(
    '%s reports a wrong LATHE_NATIVE as a usage error',
    (command) => {
      const { status, stdout, stderr } = cli([command], { env: { LATHE_NATIVE: 'maybe' } });
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toBe('onnx-lathe: LATHE_NATIVE is "maybe"\n  use on or off\n');
    },
  );
});
