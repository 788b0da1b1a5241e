/** How far two stored weights are from each other, read a band at a time. */

import { setImmediate } from 'node:timers/promises';
import { MIB } from '../bytes.ts';
import { CancelledError } from '../errors.ts';
import { ErrorSum, unpackError } from '../kernels/measure.ts';
import { measureTile, type TilePlace } from '../kernels/measure-weight.ts';
import { loadNative, type NativeOperand, nativeIsa } from '../native.ts';
import { type WeightError, weightError } from '../stream/weight-error.ts';
import { bitsOf } from './stored-matrix.ts';
import { type Band, bandReader, readBand, type WeightOperand } from './weight-operand.ts';

/** Block in which floats are measured: that of the quantizers where nothing else is said. */
const FLOAT_BLOCK = 32;

/** Largest block that is measured as one. */
const LARGEST_BLOCK = 256;

/** Bands have about so many elements of a channel, or multiples of that. */
const BAND_ELEMENTS = 1024;

/** How to read. */
export interface MeasureOptions {
  readonly memoryBytes: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of each band that was read. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** Bytes of both weights for an element, scales and zero points left out. */
function bytesPerElement(a: WeightOperand, b: WeightOperand): number {
  return (bitsOf(a.values.format) + bitsOf(b.values.format)) / 8;
}

/** Stored bytes of a pair, for progress: those of codes and floats. */
export function pairByteLength(a: WeightOperand, b: WeightOperand): number {
  return a.n * a.k * bytesPerElement(a, b);
}

/** Cuts a pair of weights into bands of a few megabytes. Both stored [N, K] make whole channels, which are read in one piece. */
function* bandsOf(
  a: WeightOperand,
  b: WeightOperand,
  blockSize: number,
  memoryBytes: number,
): Generator<Band> {
  const { n, k } = a;
  const unit = blockSize * Math.ceil(BAND_ELEMENTS / blockSize);
  // What is read, decoded and measured at a time stays far below the budget.
  const most = Math.max(
    unit,
    Math.floor(Math.min(memoryBytes / 8, 4 * MIB) / bytesPerElement(a, b)),
  );
  const isWhole = !a.transposed && !b.transposed && k <= most;
  const elements = isWhole ? k : Math.min(k, unit * Math.max(1, Math.floor(most / n / unit)));
  const channels = Math.max(1, Math.min(n, Math.floor(most / elements)));
  for (let firstElement = 0; firstElement < k; firstElement += elements) {
    for (let firstChannel = 0; firstChannel < n; firstChannel += channels) {
      yield {
        firstChannel,
        channels: Math.min(channels, n - firstChannel),
        firstElement,
        elements: Math.min(elements, k - firstElement),
      };
    }
  }
}

function measuredBlock({ blocks }: WeightOperand): number | undefined {
  return blocks && blocks.blockSize <= LARGEST_BLOCK ? blocks.blockSize : undefined;
}

/** Blocks that the addon measures. */
function isVectorBlock(blockSize: number): boolean {
  return blockSize >= 16 && blockSize <= LARGEST_BLOCK && (blockSize & (blockSize - 1)) === 0;
}

/** Adds how far a band is from another. */
function measureBand(
  exact: NativeOperand,
  found: NativeOperand,
  place: TilePlace,
  sum: ErrorSum,
): void {
  const addon = isVectorBlock(place.blockSize) ? loadNative() : undefined;
  if (addon === undefined) measureTile(bandReader(exact), bandReader(found), place, sum);
  else sum.addPacked(addon.measureBand({ isa: nativeIsa(addon), exact, found, ...place }));
}

/**
 * Measures `found` against `exact`, two weights of one shape, in the blocks of the one that has any. Memory: half of
 * `memoryBytes` at most, 32 MiB or less. Throws a FormatError when a file is shorter than it was, a CancelledError when `signal` fires.
 */
export async function measureOperands(
  exact: WeightOperand,
  found: WeightOperand,
  options: MeasureOptions,
): Promise<WeightError> {
  const { n, k } = exact;
  const blockSize = measuredBlock(found) ?? measuredBlock(exact) ?? FLOAT_BLOCK;
  const sum = new ErrorSum();
  for (const band of bandsOf(exact, found, blockSize, options.memoryBytes)) {
    if (options.signal?.aborted) throw new CancelledError();
    const { channels, elements, firstChannel, firstElement } = band;
    const first = firstChannel * k + firstElement;
    const place = { channels, elements, blockSize, first, channelStride: k };
    measureBand(readBand(exact, band), readBand(found, band), place, sum);
    options.onBytes?.(channels * elements * bytesPerElement(exact, found));
    await setImmediate();
  }
  return weightError(unpackError(sum.pack()), n * k, k);
}
