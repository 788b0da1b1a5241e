import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { onnx } from '../../src/proto/onnx.ts';
import { makeModel } from '../../tools/make-model/make-model.mjs';
import { parseCommandLine, UsageError } from '../../tools/make-model/options.mjs';

const root = mkdtempSync(join(tmpdir(), 'onnx-lathe-make-model-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let made = 0;

/** Makes the model that a command line asks for, in a directory of its own. */
function make(line: string) {
  const command = parseCommandLine([...line.split(' '), '-o', join(root, `${made++}`)]);
  if (command === undefined) throw new Error('asked for help');
  return makeModel(command.request, command.directory);
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function decode(path: string): onnx.GraphProto {
  const { graph } = onnx.ModelProto.decode(readFileSync(path));
  if (!graph) throw new Error(`${path} has no graph`);
  return graph as onnx.GraphProto;
}

describe('sizes', () => {
  it.each([
    '--size 5MB',
    '--size 5MB --dtype fp32 --untied',
    '--size 20MB --layout genai --untied',
    '--size 250MB --dtype bf16 --sparse',
    '--size 4GB --untied --sparse',
    '--size 10GB --sparse --layout genai',
    '--size 3GB --untied --vocab 262144 --hidden 2560 --sparse',
    '--size 100GB --dtype fp32 --sparse',
  ])('%s is met within 5 %', (line) => {
    const wanted = Number(/--size (\d+)/.exec(line)?.[1]) * (line.includes('GB') ? 1e9 : 1e6);
    const { modelPath, dataPath, shape } = make(line);
    const bytes = statSync(modelPath).size + statSync(dataPath).size;
    expect(Math.abs(bytes / wanted - 1)).toBeLessThan(0.05);
    expect(shape.intermediateSize % 64).toBe(0);
    expect(shape.intermediateSize / shape.hiddenSize).toBeGreaterThan(1.5);
    expect(shape.intermediateSize / shape.hiddenSize).toBeLessThan(7);
  });

  it.each([
    ['mobius', 3000],
    ['genai', 20_000],
  ])('%s with about %i nodes', (layout, nodes) => {
    const result = make(`--nodes ${nodes} --layout ${layout} --sparse`);
    expect(result.nodes).toBe(decode(result.modelPath).node.length);
    expect(Math.abs(result.nodes - nodes)).toBeLessThan(8);
  });
});

describe('bytes', () => {
  it('come from the seed alone', () => {
    const [first, again, other] = ['7', '7', '8'].map((seed) => make(`--size 5MB --seed ${seed}`));
    if (!first || !again || !other) throw new Error('three models');
    expect(digest(again.dataPath)).toBe(digest(first.dataPath));
    expect(digest(again.modelPath)).toBe(digest(first.modelPath));
    expect(digest(other.dataPath)).not.toBe(digest(first.dataPath));
  });

  it.each(['fp16', 'fp32', 'bf16'])(
    'are %s numbers of mean 0 and standard deviation about 0.02',
    (dtype) => {
      const { dataPath, modelPath } = make(`--size 5MB --dtype ${dtype}`);
      const table = decode(modelPath).initializer.find(
        ({ name }) => name === 'model.embed_tokens.weight',
      );
      const entries = new Map(table?.externalData?.map(({ key, value }) => [key, Number(value)]));
      const start = entries.get('offset') ?? Number.NaN;
      const file = readFileSync(dataPath);
      const bytes = new Uint8Array(file.subarray(start, start + (entries.get('length') ?? 0)));
      const values = decodeFloats(dtype, bytes.buffer);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
      const kurtosis =
        values.reduce((sum, value) => sum + value ** 4, 0) / values.length / variance ** 2;
      expect(values.length).toBe(2048 * 128);
      expect(Math.abs(mean)).toBeLessThan(2e-4);
      expect(Math.sqrt(variance)).toBeGreaterThan(0.013);
      expect(Math.sqrt(variance)).toBeLessThan(0.029);
      // 3 for normal values; uniform ones have 1.8.
      expect(Math.abs(kurtosis - 3)).toBeLessThan(0.1);
    },
  );

  it('differ between the rows of a table larger than the block they are drawn from', () => {
    const { dataPath, modelPath, shape } = make('--size 20MB --vocab 16384 --hidden 256');
    const table = decode(modelPath).initializer.find(({ dims }) => Number(dims?.[0]) === 16384);
    const start = Number(table?.externalData?.[1]?.value);
    const rowBytes = 2 * shape.hiddenSize;
    const file = readFileSync(dataPath);
    const rows = new Set<string>();
    for (let row = 0; row < 16384; row++) {
      rows.add(file.toString('latin1', start + row * rowBytes, start + (row + 1) * rowBytes));
    }
    expect(rows.size).toBe(16384);
  });

  it('take no disk blocks when sparse', () => {
    const { dataPath, dataBytes } = make('--size 30GB --sparse');
    const { size, blocks } = statSync(dataPath);
    expect(size).toBe(dataBytes);
    expect(blocks).toBe(0);
  });

  it('are referred to by location, offset and length, aligned and apart', () => {
    const { modelPath, dataBytes } = make('--size 20MB --untied');
    const ranges: { offset: number; length: number }[] = [];
    for (const { externalData } of decode(modelPath).initializer) {
      if (!externalData?.length) continue;
      expect(externalData.map(({ key }) => key)).toEqual(['location', 'offset', 'length']);
      const [location, offset, length] = externalData.map(({ value }) => value);
      expect(location).toBe('model.onnx.data');
      ranges.push({ offset: Number(offset), length: Number(length) });
    }
    ranges.sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const { offset, length } of ranges) {
      expect(offset).toBeGreaterThanOrEqual(end);
      expect(offset % (length >= 2 ** 20 ? 4096 : 64)).toBe(0);
      end = offset + length;
    }
    expect(end).toBe(dataBytes);
  });
});

function decodeFloats(dtype: string, bytes: ArrayBuffer): Float64Array {
  if (dtype === 'fp32') return Float64Array.from(new Float32Array(bytes));
  const words = new Uint16Array(bytes);
  if (dtype === 'bf16') {
    return Float64Array.from(
      new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer),
    );
  }
  return Float64Array.from(words, (word) => {
    const exponent = (word >> 10) & 31;
    const fraction = (word & 1023) / 1024;
    const magnitude = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
    return word >> 15 ? -magnitude : magnitude;
  });
}

describe('command line', () => {
  it.each([
    ['--size 5MB --nodes 100 -o x', 'give one of --size and --nodes'],
    ['-o x', 'give one of --size and --nodes'],
    ['--size 5MB', 'give a directory to write to: -o DIR'],
    ['--size 5parsecs -o x', '--size 5parsecs is not a size'],
    ['--size 5MB --dtype fp8 -o x', '--dtype fp8 is not one of fp16, fp32, bf16'],
    ['--size 5MB --layout onnx -o x', '--layout onnx is not one of mobius, genai'],
    ['--size 5MB --tied --untied -o x', 'give one of --tied and --untied'],
    ['--size 5MB --hidden 100 -o x', '--hidden 100 is not a multiple of 64 from 64 to 65536'],
    ['--size 5MB --layers 0 -o x', '--layers 0 is not an integer from 1 to 100000'],
    ['--nodes 100 --layers 3 -o x', '--nodes decides the number of layers; leave out --layers'],
    ['--size 5MB --speed -o x', "Unknown option '--speed'"],
  ])('refuses %s', (line, message) => {
    const parse = () => parseCommandLine(line.split(' '));
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });

  it('refuses a size that the tables alone exceed', () => {
    expect(() => make('--size 1GB --vocab 262144 --hidden 2560')).toThrow(
      'no fp16 decoder of 1000000000 bytes has vocabulary 262144, hidden size 2560',
    );
  });

  it('says what it made, never overwrites, and exits 2 for wrong arguments', () => {
    const script = fileURLToPath(new URL('../../tools/make-model.mjs', import.meta.url));
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
    const directory = join(root, 'cli');
    const first = run('--size', '5MB', '--sparse', '-o', directory);
    expect(first).toMatchObject({ status: 0, stderr: '' });
    expect(first.stdout).toMatch(
      /model\.onnx: mobius, fp16, tied, \d+ layers, hidden 128, intermediate \d+, vocabulary 2048, \d+ nodes; graph [\d.]+ MB, data [\d.]+ MB in [\d.]+ s \(sparse\)\n$/,
    );
    const second = run('--size', '5MB', '-o', directory);
    expect(second.status).toBe(2);
    expect(second.stderr).toContain('model.onnx exists\n  remove it, or name another directory');
    expect(run('--size', 'big', '-o', directory).status).toBe(2);
    expect(run('--help').stdout).toContain('--nodes N');
  });
});
