import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MIB } from '../../src/bytes.ts';
import { LatheError } from '../../src/errors.ts';
import type { FileRange } from '../../src/model/tensor-data.ts';
import { blockFormat, channelBytes } from '../../src/stream/channel-bytes.ts';
import { type Program, RING, type Tile } from '../../src/stream/program.ts';
import { ProgramBuilder } from '../../src/stream/program-builder.ts';

const file = { fd: 0, path: 'model.onnx.data', byteLength: 2 ** 50 };
const out = { fd: 1, path: 'out.data' };

function range(byteLength: number): FileRange {
  return { kind: 'range', file, byteOffset: 4096, byteLength };
}

/** Nothing is read, only laid out; the budget is small for these weights, so that they are cut. */
const weight = fc.record({
  method: fc.constant('rtn' as const),
  bits: fc.constantFrom(2 as const, 4 as const, 8 as const),
  blockSize: fc.constantFrom(16 as const, 32 as const, 128 as const, 256 as const),
  symmetric: fc.boolean(),
  layout: fc.constantFrom('rows' as const, 'columns' as const),
  n: fc.integer({ min: 1, max: 2_000 }),
  k: fc.integer({ min: 1, max: 2_000 }),
  kind: fc.constantFrom('quantize', 'gate', 'compare'),
});

const budget = fc.record({
  memoryBytes: fc.integer({ min: 64 << 10, max: 4 << 20 }),
  threads: fc.integer({ min: 1, max: 32 }),
});

type Weight = typeof weight extends fc.Arbitrary<infer T> ? T : never;

function lay(builder: ProgramBuilder, { kind, ...weight }: Weight): void {
  const { n, k, bits, blockSize, symmetric, layout } = weight;
  const blocks = Math.ceil(k / blockSize);
  const codes = (n * blocks * blockSize * bits) / 8;
  const scales = n * blocks * 2;
  const zeroPoints = n * Math.ceil((blocks * bits) / 8);
  const place = { file: out, byteOffset: 0 };
  if (kind === 'compare') {
    const shape = { elementBytes: 2 as const, rows: k, columns: n };
    builder.addCompare(
      { ...shape, transposed: layout === 'columns' },
      range(n * k * 2),
      range(n * k * 2),
    );
  } else if (kind === 'gate') {
    builder.addTieGate(
      { ...weight, type: 10, scaleType: 10, hasZeroPoints: !symmetric },
      {
        table: range(n * k * 2),
        codes: range(codes),
        scales: range(scales),
        ...(!symmetric && { zeroPoints: range(zeroPoints) }),
      },
    );
  } else {
    const places = { codes: place, scales: place, ...(!symmetric && { zeroPoints: place }) };
    builder.addQuantize({ ...weight, type: 10 }, range(n * k * 2), places);
  }
}

/** Four bits, blocks of 32, `size` x `size`. */
function weightOf(size: number) {
  const format = { method: 'rtn', bits: 4, blockSize: 32, symmetric: false } as const;
  return { ...format, n: size, k: size };
}

function layAll(weights: readonly Weight[], options: { memoryBytes: number; threads: number }) {
  const builder = new ProgramBuilder(options);
  try {
    for (const weight of weights) lay(builder, weight);
  } catch (error) {
    if (error instanceof LatheError && error.code === 'ERR_MEMORY_BUDGET') return undefined;
    throw error;
  }
  return builder.finish();
}

function tilesOf(program: Program): Tile[] {
  return Array.from({ length: program.tiles.length }, (_, index) => program.tiles.at(index));
}

const work = fc.array(weight, { minLength: 1, maxLength: 4 });

test('buffers stay within the budget', () => {
  fc.assert(
    fc.property(work, budget, (weights, options) => {
      const program = layAll(weights, options);
      if (program === undefined) return;
      const used = program.ringBytes + options.threads * program.scratchBytes;
      expect(used).toBeLessThanOrEqual(options.memoryBytes);
    }),
  );
});

test('every element of every weight is in exactly one tile', () => {
  fc.assert(
    fc.property(work, budget, (weights, options) => {
      const program = layAll(weights, options);
      if (program === undefined) return;
      const covered = new Map<number, number>();
      const corners = new Set<string>();
      for (const tile of tilesOf(program)) {
        covered.set(tile.job, (covered.get(tile.job) ?? 0) + tile.channels * tile.elements);
        if (program.jobs[tile.job]?.kernel === 'copy') continue;
        const corner = `${tile.job}:${tile.firstChannel}:${tile.firstElement}`;
        expect(corners.has(corner)).toBe(false);
        corners.add(corner);
      }
      const real = program.jobs.flatMap((job, index) => (job.kernel === 'copy' ? [] : [index]));
      expect(real.map((job) => covered.get(job))).toEqual(weights.map(({ n, k }) => n * k));
    }),
  );
});

/** Part of the ring that a tile reads or fills. */
interface Claim {
  readonly tile: number;
  readonly fills: boolean;
  readonly start: number;
  readonly end: number;
}

function claimsOf(program: Program, tile: Tile, index: number): Claim[] {
  const claims: Claim[] = [];
  for (const input of tile.inputs) {
    if (input.file !== RING) continue;
    const start = input.byteOffset;
    const end = start + (input.segments - 1) * input.strideBytes + input.segmentByteLength;
    claims.push({ tile: index, fills: false, start, end });
  }
  const job = program.jobs[tile.job];
  const part = job?.kernel === 'quantize' && channelBytes(blockFormat(job), tile.elements);
  const lengths = part
    ? [part.codes, part.scales, part.zeroPoints].map((bytes) => bytes * tile.channels)
    : [tile.inputs[0]?.segmentByteLength ?? 0];
  tile.outputs.forEach(({ file, byteOffset: start }, i) => {
    const end = start + (lengths[i] ?? 0);
    if (file === RING) claims.push({ tile: index, fills: true, start, end });
  });
  return claims;
}

test('no tile touches what another tile, not known to be complete, fills or uses', () => {
  fc.assert(
    fc.property(work, budget, (weights, options) => {
      const program = layAll(weights, options);
      if (program === undefined) return;
      let running: Claim[] = [];
      tilesOf(program).forEach((tile, index) => {
        expect(tile.after).toBeLessThanOrEqual(index);
        const claims = claimsOf(program, tile, index);
        if (claims.length === 0) return;
        for (const { end } of claims) expect(end).toBeLessThanOrEqual(program.ringBytes);
        const clash = claims.flatMap((claim) =>
          running.filter(
            (other) =>
              other.tile >= tile.after &&
              (claim.fills || other.fills) &&
              claim.start < other.end &&
              other.start < claim.end,
          ),
        );
        if (clash.length > 0) expect(clash).toEqual([]);
        running = running.filter((other) => other.tile >= tile.after).concat(claims);
      });
    }),
  );
});

test('the tiles that write a panel are mixed with those that fill the next one', () => {
  const builder = new ProgramBuilder({ memoryBytes: 64 * MIB, threads: 2 });
  const columns = { ...weightOf(2048), layout: 'columns', kind: 'quantize' } as const;
  for (let i = 0; i < 3; i++) lay(builder, columns);
  const program = builder.finish();
  const jobs = tilesOf(program).map(({ job }) => program.jobs[job]?.kernel);
  const firstDrain = jobs.indexOf('copy');
  expect(jobs.slice(firstDrain).indexOf('quantize')).toBe(1);
  expect(program.ringBytes).toBeGreaterThan(2 * 2048 * 1024);
});
