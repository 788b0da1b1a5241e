/** Lays out programs: turns "copy this, quantize that" into tiles that respect a memory budget. Pure. */

import { MIB } from '../bytes.ts';
import { floatByteLength } from '../kernels/float-types.ts';
import {
  type CastParameters,
  type QuantizeParameters,
  type RelayoutParameters,
  relayoutSourceLength,
} from '../kernels/kernel.ts';
import type { FileRange } from '../model/tensor-data.ts';
import { layCast } from './cast-tiles.ts';
import { blockFormat, channelBytes } from './channel-bytes.ts';
import {
  layCompareColumns,
  layCompareFlat,
  layTieGateColumns,
  layTieGateRows,
  type TieGateRanges,
} from './fold-tiles.ts';
import type { CompareJob, OutputPlace, Program, QuantizeJob, TieGateJob } from './program.ts';
import { COPY_PIECE, ProgramLayout } from './program-layout.ts';
import { layQuantizeColumns, layQuantizeRows, type QuantizePlaces } from './quantize-tiles.ts';
import { layRelayoutFlat, layRelayoutTransposed } from './relayout-tiles.ts';
import { alongElements, piecesOf } from './tile-series.ts';

export type { TieGateRanges } from './fold-tiles.ts';
export type { QuantizePlaces } from './quantize-tiles.ts';

const COPY_TILE = 4 * MIB;

/**
 * Collects jobs and makes a Program of them. Work is done roughly in the order it was added; ranges must lie within
 * their files. Every `add` throws a ResourceError when the work cannot be cut small enough for the budget, and a
 * RangeError when a range does not have the length its job calls for.
 */
export class ProgramBuilder {
  readonly #layout: ProgramLayout;
  #copyJob: number | undefined;

  /** `memoryBytes` is `--memory`, all of which the program may use; `threads` the most that will run it. */
  constructor(options: { readonly memoryBytes: number; readonly threads: number }) {
    this.#layout = new ProgramLayout(options.memoryBytes, options.threads);
  }

  /** Copies a range as it is. */
  addCopy(source: FileRange, place: OutputPlace): void {
    const layout = this.#layout;
    const job = this.#copy();
    // A buffer smaller than a piece holds a whole tile; larger ones are passed piece by piece.
    const { scratchBytes } = layout.budget;
    const step = scratchBytes < COPY_PIECE ? Math.max(1, scratchBytes) : COPY_TILE;
    const bytes = piecesOf(source.byteLength, step).map((pieces) => alongElements(pieces, 0, 0));
    layout.pushAll(bytes, ({ firstElement: done, elements: byteLength }) => ({
      job,
      firstChannel: 0,
      channels: 0,
      firstElement: 0,
      elements: 0,
      inputs: [layout.input(source, done, byteLength)],
      outputs: [layout.output(place, done)],
    }));
  }

  /**
   * Quantizes a weight; gives the index of its job, by which ProgramResult.nonFinite and errors name it. `measured`:
   * how far the codes are from the weight is summed up. Without places that is all that comes of it.
   */
  addQuantize(
    parameters: QuantizeParameters,
    source: FileRange,
    places: QuantizePlaces | undefined,
    measured = places === undefined,
  ): number {
    const { n, k, type, layout, symmetric } = parameters;
    expectLength(source, n * k * floatByteLength(type), 'weight');
    if (places !== undefined) expectPresence(places.zeroPoints, !symmetric);
    const job: QuantizeJob = { kernel: 'quantize', parameters, measured };
    const index = this.#layout.addJob(job);
    if (layout === 'rows') layQuantizeRows(this.#layout, index, job, source, places);
    else layQuantizeColumns(this.#layout, index, this.#copy(), job, source, places);
    return index;
  }

  /** Rounds the elements of a tensor to another type. */
  addCast(parameters: CastParameters, source: FileRange, place: OutputPlace): void {
    const { from, count } = parameters;
    expectLength(source, count * floatByteLength(from), 'weight');
    const index = this.#layout.addJob({ kernel: 'cast', parameters });
    layCast(this.#layout, index, parameters, source, place);
  }

  /** Measures what a cast would take; gives the index of its job in ProgramResult.folds. */
  addMeasureCast(parameters: Omit<CastParameters, 'saturate'>, source: FileRange): number {
    const { from, count } = parameters;
    expectLength(source, count * floatByteLength(from), 'weight');
    const index = this.#layout.addJob({ kernel: 'measure-cast', parameters });
    layCast(this.#layout, index, parameters, source);
    return index;
  }

  /** Writes packed elements in another layout. */
  addRelayout(wanted: RelayoutParameters, source: FileRange, place: OutputPlace): void {
    const { rows, columns, bits } = wanted;
    expectLength(source, relayoutSourceLength(wanted), 'matrix');
    // One row or column of wide elements is its own transpose.
    const transposed = wanted.transposed && !(bits >= 8 && (rows === 1 || columns === 1));
    const parameters = { ...wanted, transposed };
    const index = this.#layout.addJob({ kernel: 'relayout', parameters });
    if (transposed) {
      layRelayoutTransposed(this.#layout, index, this.#copy(), parameters, source, place);
    } else {
      layRelayoutFlat(this.#layout, index, parameters, source, place);
    }
  }

  /** Checks a quantized table against a float one; gives the index of its job in ProgramResult.folds. */
  addTieGate(parameters: Omit<TieGateJob, 'kernel'>, ranges: TieGateRanges): number {
    const job: TieGateJob = { kernel: 'tie-gate', ...parameters };
    const { n, k, type, hasZeroPoints } = job;
    const whole = channelBytes(blockFormat(job), k);
    expectLength(ranges.table, n * k * floatByteLength(type), 'table');
    expectLength(ranges.codes, n * whole.codes, 'codes');
    expectLength(ranges.scales, n * whole.scales, 'scales');
    expectPresence(ranges.zeroPoints, hasZeroPoints);
    if (ranges.zeroPoints) expectLength(ranges.zeroPoints, n * whole.zeroPoints, 'zero points');
    const index = this.#layout.addJob(job);
    if (job.layout === 'rows') layTieGateRows(this.#layout, index, job, ranges);
    else layTieGateColumns(this.#layout, index, this.#copy(), job, ranges);
    return index;
  }

  /** Compares two ranges element by element; gives the index of its job in ProgramResult.folds. */
  addCompare(parameters: Omit<CompareJob, 'kernel'>, a: FileRange, b: FileRange): number {
    const { rows, columns, elementBytes: size } = parameters;
    expectLength(a, rows * columns * size, 'first tensor');
    expectLength(b, rows * columns * size, 'second tensor');
    // A matrix with one row or column is its own transpose.
    const transposed = parameters.transposed && rows > 1 && columns > 1;
    const job: CompareJob = { kernel: 'compare', ...parameters, transposed };
    const index = this.#layout.addJob(job);
    if (transposed) layCompareColumns(this.#layout, index, this.#copy(), job, a, b);
    else layCompareFlat(this.#layout, index, job, a, b);
    return index;
  }

  /** The program. The builder must not be used afterwards. */
  finish(): Program {
    return this.#layout.finish();
  }

  #copy(): number {
    this.#copyJob ??= this.#layout.addJob({ kernel: 'copy' });
    return this.#copyJob;
  }
}

function expectLength(range: FileRange, byteLength: number, what: string): void {
  if (range.byteLength !== byteLength) {
    throw new RangeError(`${what} of ${range.byteLength} bytes, expected ${byteLength}`);
  }
  if (range.byteOffset < 0 || range.byteOffset + byteLength > range.file.byteLength) {
    throw new RangeError(`${what} lies outside ${range.file.path}`);
  }
}

function expectPresence(zeroPoints: unknown, expected: boolean): void {
  if ((zeroPoints !== undefined) !== expected) {
    throw new RangeError(`zero points are ${expected ? 'missing' : 'not part of this format'}`);
  }
}
