import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { UsageError } from '../src/errors.ts';
import { loadNative, type NativeProgram } from '../src/native.ts';

/** The module as a process with these variables sees it. */
async function nativeWith(environment: Record<string, string>) {
  vi.resetModules();
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  return import('../src/native.ts');
}

afterEach(() => {
  vi.unstubAllEnvs();
  // Other files of this process must not find the module of another environment.
  vi.resetModules();
});

describe('loading', () => {
  test('LATHE_NATIVE=off leaves the addon alone and says so', async () => {
    const native = await nativeWith({ LATHE_NATIVE: 'off' });
    expect(native.loadNative()).toBeUndefined();
    expect(native.nativeStatus()).toEqual({ loaded: false, reason: 'LATHE_NATIVE=off' });
  });

  test.each(['wasm', 'typescript'])('LATHE_ISA=%s leaves the addon alone', async (isa) => {
    const native = await nativeWith({ LATHE_NATIVE: '', LATHE_ISA: isa });
    expect(native.loadNative()).toBeUndefined();
    expect(native.nativeStatus()).toEqual({ loaded: false, reason: `LATHE_ISA=${isa}` });
  });

  test('an unknown LATHE_NATIVE is a usage error', async () => {
    const native = await nativeWith({ LATHE_NATIVE: 'perhaps' });
    expect(() => native.loadNative()).toThrow('LATHE_NATIVE is "perhaps"');
  });

  test.each(['on', 'off', ''])('with LATHE_NATIVE=%s so is an unknown LATHE_ISA', async (wish) => {
    const native = await nativeWith({ LATHE_NATIVE: wish, LATHE_ISA: 'mmx' });
    expect(() => native.nativeStatus()).toThrow('LATHE_ISA is "mmx"');
  });

  test('the addon is loaded once', async () => {
    const native = await nativeWith({});
    expect(native.loadNative()).toBe(native.loadNative());
    expect(native.nativeStatus().loaded).toBe(native.loadNative() !== undefined);
  });
});

const addon = loadNative();
if (addon) {
  describe('the addon', () => {
    let directory: string;
    let directoryFd: number;
    const path = (name: string) => join(directory, name);

    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), 'lathe-native-'));
      directoryFd = openSync(directory, 'r');
    });
    afterEach(() => {
      closeSync(directoryFd);
      rmSync(directory, { recursive: true });
    });

    test('LATHE_ISA names the kernels', async () => {
      const native = await nativeWith({ LATHE_NATIVE: 'on', LATHE_ISA: 'plain' });
      expect(native.nativeStatus()).toMatchObject({ loaded: true, isa: 'plain' });
    });

    test('an instruction set this processor lacks is a usage error that names the others', async () => {
      const native = await nativeWith({ LATHE_NATIVE: 'on', LATHE_ISA: 'mmx' });
      expect(() => native.nativeStatus()).toThrow('LATHE_ISA is "mmx"');
      try {
        native.loadNative();
      } catch (error) {
        // The class of the module that was loaded afresh, hence by name.
        expect((error as UsageError).name).toBe(UsageError.name);
        expect((error as UsageError).hint).toMatch(/^use one of .*plain/);
      }
    });

    test('the best instruction set is one of those supported', () => {
      const { isa, supported } = addon.info();
      expect(supported).toContain(isa);
      expect(supported).toContain('plain');
    });

    test('openBeneath opens what lies below, through links, too', () => {
      mkdirSync(path('sub'));
      writeFileSync(path('sub/data'), 'hello');
      symlinkSync('sub/data', path('link'));
      for (const name of ['sub/data', 'link', 'sub/../sub/data']) {
        const fd = addon.openBeneath(directoryFd, name);
        if (fd === undefined) continue;
        expect(readFileSync(fd, 'utf8')).toBe('hello');
        closeSync(fd);
      }
    });

    test.each(['../secret', '/etc/passwd', './../secret', 'out', 'absolute'])(
      'openBeneath does not leave the directory by %s',
      (name) => {
        mkdirSync(path('sub'));
        writeFileSync(path('sub/secret'), '');
        const below = openSync(path('sub'), 'r');
        symlinkSync('../secret', path('sub/out'));
        symlinkSync('/etc/passwd', path('sub/absolute'));
        writeFileSync(path('secret'), '');
        const probe = addon.openBeneath(below, 'secret');
        if (probe !== undefined) {
          closeSync(probe);
          expect(() => addon.openBeneath(below, name)).toThrow(
            expect.objectContaining({ code: 'EXDEV' }),
          );
        }
        closeSync(below);
      },
    );

    test('openBeneath does not wait for the other end of a FIFO', () => {
      expect(spawnSync('mkfifo', [path('fifo')]).status).toBe(0);
      const fd = addon.openBeneath(directoryFd, 'fifo');
      if (fd === undefined) return;
      expect(fstatSync(fd).isFIFO()).toBe(true);
      closeSync(fd);
    });

    test('openBeneath names the errno', () => {
      if (addon.openBeneath(directoryFd, '.') === undefined) return;
      expect(() => addon.openBeneath(directoryFd, 'missing')).toThrow(
        expect.objectContaining({ code: 'ENOENT', errno: 2 }),
      );
    });

    test('preallocate extends a file and keeps what is there', () => {
      const fd = openSync(path('data'), 'w+');
      writeFileSync(path('data'), 'abc');
      addon.preallocate(fd, 0, 100_000);
      expect(fstatSync(fd).size).toBe(100_000);
      addon.preallocate(fd, 0, 10);
      expect(fstatSync(fd).size).toBe(100_000);
      expect(readFileSync(path('data'), 'utf8').slice(0, 4)).toBe('abc\0');
      closeSync(fd);
    });

    test('preallocate names the errno', () => {
      writeFileSync(path('data'), '');
      const readOnly = openSync(path('data'), 'r');
      expect(() => addon.preallocate(readOnly, 0, 10)).toThrow(
        expect.objectContaining({ code: 'EBADF' }),
      );
      closeSync(readOnly);
    });

    test('renameExchange swaps directories', () => {
      for (const name of ['a', 'b']) {
        mkdirSync(path(name));
        writeFileSync(path(`${name}/name`), name);
      }
      addon.renameExchange(path('a'), path('b'));
      expect(readFileSync(path('a/name'), 'utf8')).toBe('b');
      expect(readFileSync(path('b/name'), 'utf8')).toBe('a');
    });

    test('renameExchange needs both', () => {
      mkdirSync(path('a'));
      expect(() => addon.renameExchange(path('a'), path('b'))).toThrow(
        expect.objectContaining({ code: 'ENOENT' }),
      );
    });

    test('reflinkRange shares blocks or says that it cannot', () => {
      writeFileSync(path('a'), Buffer.alloc(65536, 7));
      const [source, target] = [openSync(path('a'), 'r'), openSync(path('b'), 'w+')];
      try {
        addon.reflinkRange(source, 0, 65536, target, 0);
        expect(readFileSync(path('b')).equals(readFileSync(path('a')))).toBe(true);
      } catch (error) {
        expect(['EOPNOTSUPP', 'ENOTSUP', 'EXDEV', 'EINVAL']).toContain(
          (error as { code: string }).code,
        );
      }
      closeSync(source);
      closeSync(target);
    });

    test('arguments of the wrong type are refused', () => {
      const refused = expect.objectContaining({ code: 'ERR_NATIVE_ARGUMENT' });
      expect(() => addon.openBeneath(-1, 'x')).toThrow(refused);
      expect(() => addon.openBeneath(directoryFd, 'a\0b')).toThrow(refused);
      expect(() => addon.preallocate(0.5, 0, 1)).toThrow(refused);
      expect(() => addon.preallocate(0, -1, 1)).toThrow(refused);
      expect(() => addon.preallocate(0, 0, Number.NaN)).toThrow(refused);
    });

    const parameters = {
      ...{
        method: 'rtn',
        type: 10,
        bits: 4,
        blockSize: 32,
        symmetric: false,
        layout: 'rows',
        n: 2,
        k: 64,
      },
    };

    test('measureBuffer refuses buffers that are too small', () => {
      const run = (codes: number, errors: number) =>
        addon.measureBuffer(
          ...(['plain', parameters, new Uint8Array(256), new Uint8Array(codes)] as const),
          ...([new Uint8Array(8), new Uint8Array(2), new Float64Array(errors)] as const),
        );
      const refused = (message: string) =>
        expect.objectContaining({ code: 'ERR_NATIVE_ARGUMENT', message });
      expect(() => run(64, 45)).not.toThrow();
      expect(() => run(63, 45)).toThrow(refused('buffer lengths'));
      expect(() => run(64, 44)).toThrow(refused('errors'));
    });

    test('quantizeBuffer refuses buffers that are too small', () => {
      const source = new Uint8Array(2 * 64 * 2);
      const run = (codes: number) =>
        addon.quantizeBuffer(
          ...(['plain', parameters, source, new Uint8Array(codes)] as const),
          ...([new Uint8Array(8), new Uint8Array(2)] as const),
        );
      expect(run(64)).toBe(-1);
      expect(() => run(63)).toThrow('buffer lengths');
    });

    // Fields of struct Job in native/program.h.
    const JOB_FIELDS = 16;

    /** A job with these fields, by their places. */
    function job(fields: Readonly<Record<number, number>>): Partial<NativeProgram> {
      const jobs = new Float64Array(JOB_FIELDS);
      for (const [index, value] of Object.entries(fields)) jobs[Number(index)] = value;
      return { jobs };
    }

    const tile = [0, 0, 0, 0, 0, 1, 1, 0, 0, 4, 1, 4, 0, 0];

    /** One tile that copies four bytes; `change` breaks it. */
    function program(change: Partial<NativeProgram>): NativeProgram {
      return {
        jobs: new Float64Array(JOB_FIELDS),
        series: Float64Array.of(...tile, ...tile),
        starts: Uint32Array.of(0),
        tiles: Uint32Array.of(0, 0, 0),
        inputs: Int32Array.of(directoryFd),
        outputs: Int32Array.of(directoryFd),
        ringBytes: 0,
        scratchBytes: 64,
        threads: 1,
        mapped: false,
        flushes: false,
        isa: 'plain',
        ...change,
      };
    }

    function series(index: number, value: number): Partial<NativeProgram> {
      const changed = tile.map((number, i) => (i === index ? value : number));
      return { series: Float64Array.of(...changed, ...changed) };
    }

    test.each<[string, () => Partial<NativeProgram>]>([
      ['job', () => series(0, 1)],
      ['after', () => ({ tiles: Uint32Array.of(0, 0, 1) })],
      ['series', () => ({ tiles: Uint32Array.of(1, 0, 0) })],
      ['extent', () => series(2, -1)],
      ['counts', () => series(5, 5)],
      ['number', () => series(8, Number.NaN)],
      [
        'number',
        () => ({
          series: Float64Array.of(...tile, ...tile.map((n) => n + 2 ** 52)),
          tiles: Uint32Array.of(0, 9, 0),
        }),
      ],
      ['input file', () => series(7, 1)],
      ['input file', () => series(7, -2)],
      ['input ring', () => series(7, -1)],
      ['output', () => series(12, 1)],
      ['ring', () => series(12, -1)],
      ['output', () => series(12, -2)],
      ['scratch', () => ({ scratchBytes: 3 })],
      ['start', () => ({ starts: Uint32Array.of(22) })],
      ['length', () => ({ series: program({}).series.subarray(0, 27) })],
      ['job kernel', () => job({ 0: 99 })],
      ['job type', () => job({ 0: 4, 1: 1, 13: 3 })],
      ['cast input', () => ({ ...job({ 0: 4, 1: 1, 13: 10 }), scratchBytes: 128 })],
      ['cast', () => job({ 0: 5, 1: 1, 13: 10 })],
      ['job element', () => job({ 0: 6, 2: 3 })],
      ['relayout bytes', () => job({ 0: 6, 2: 4 })],
      ['relayout input', () => job({ 0: 6, 2: 4, 11: 1 })],
      ['jobs', () => ({ jobs: new Float64Array(11) })],
      ['ringBytes', () => ({ ringBytes: -1 })],
      ['threads', () => ({ threads: 0 })],
      ['isa', () => ({ isa: 'mmx' })],
      ['arrays', () => ({ starts: new Float64Array(1) as unknown as Uint32Array })],
    ])('a program with a wrong %s is not started', (what, change) => {
      expect(() => addon.runProgram(program(change()))).toThrow(
        expect.objectContaining({ code: 'ERR_NATIVE_ARGUMENT', message: what }),
      );
    });

    test('a failed read carries tile, phase, file and offset', async () => {
      await expect(addon.runProgram(program({})).finished).rejects.toMatchObject({
        code: 'EISDIR',
        phase: 'read',
        tile: 0,
        file: 0,
        offset: 0,
      });
    });
  });
}
