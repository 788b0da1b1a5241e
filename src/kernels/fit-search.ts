/**
 * Looks for a better scale and zero point of a block than its extremes give: the reference of
 * native/kernels/quantize-search.inc.h. Elements are taken in units of 1/4096 of the block's range, as integers, so
 * that sums of products are exact and every implementation finds the same. Pure.
 */

import type { QuantizeParameters } from './kernel.ts';

const UNITS = 4096;
/** A block whose range is beyond these keeps the scale of its extremes: its inverse would leave binary32. */
const [SMALLEST_RANGE, LARGEST_RANGE] = [2 ** -100, 2 ** 100];

/**
 * Candidates are steps of range / (top + offset): six offsets in eighths. The finer the codes, the less clipping an
 * extreme costs or wins. On normal, Laplace and Student-t weights nine win 0.3 % of the error, seventeen 0.5 %.
 */
const CANDIDATES = 6;
const OFFSETS = {
  2: { first: -4, step: 3 },
  4: { first: -12, step: 6 },
  8: { first: -28, step: 12 },
} as const;

/** Weights are (rms + |x|) in units, shifted down so that products with a code fit 16 bits. */
const WEIGHT_SHIFTS = { 2: 2, 4: 2, 8: 6 } as const;
/** Weighted sums pass through 32 bits in runs of so many elements. */
const WEIGHTED_RUN = 16;

/** What encodes a block: code = round(x / scale + zeroPoint). */
export interface BlockFit {
  readonly scale: number;
  readonly zeroPoint: number;
}

/**
 * The best so far: for codes d (less the zero point) and elements x, `product` is the sum of x * d and `square` that
 * of d * d. The step that fits best is product / square, and product^2 / square is what it takes off the error; two of
 * these are compared without dividing.
 */
interface Fit {
  product: number;
  square: number;
  zeroPoint: number;
}

/** The nearest integer, ties to even, of a number below 2^51. */
function roundEven(value: number): number {
  const shift = 1.5 * 2 ** 52;
  return value + shift - shift;
}

/** (a * b) / 2^15, halves rounded up, for products below 2^30. */
function scaleUnits(a: number, b: number): number {
  return (a * b + 0x4000) >> 15;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** Finds fits for blocks of one format, with working memory for one block. */
export class FitSearch {
  readonly #bits: QuantizeParameters['bits'];
  readonly #top: number;
  readonly #symmetric: boolean;
  readonly #isWeighted: boolean;
  readonly #units: Int16Array;
  readonly #weights: Int16Array;
  readonly #best: Fit = { product: 0, square: 1, zeroPoint: 0 };

  constructor(format: Pick<QuantizeParameters, 'bits' | 'blockSize' | 'symmetric' | 'method'>) {
    this.#bits = format.bits;
    this.#top = 2 ** format.bits - 1;
    this.#symmetric = format.symmetric;
    this.#isWeighted = format.method === 'k-quant';
    this.#units = new Int16Array(format.blockSize);
    this.#weights = new Int16Array(format.blockSize).fill(1);
  }

  /**
   * The best fit of the first `count` of `values`.
   * @param range largest less smallest element, zero among them; symmetric: the element of largest magnitude, negated
   * @param low the smallest element, or zero
   * @returns undefined where the scale of the extremes has to do: constant zero, or too small or large a range
   */
  find(values: Float32Array, count: number, range: number, low: number): BlockFit | undefined {
    const extent = Math.abs(range);
    if (!(extent > SMALLEST_RANGE && extent < LARGEST_RANGE)) return undefined;
    const inverse = Math.fround(UNITS / range);
    const units = this.#units;
    for (let i = 0; i < count; i++) {
      units[i] = roundEven(Math.fround((values[i] as number) * inverse));
    }
    if (this.#isWeighted) this.#weigh(count);
    const best = this.#best;
    best.product = 0;
    best.square = 1;
    if (this.#symmetric) this.#trySymmetric(count);
    else this.#tryAsymmetric(count, -roundEven(Math.fround(low * inverse)));
    if (best.product <= 0) return undefined;
    const step = Math.fround(best.product / best.square);
    return {
      scale: Math.fround(step * Math.fround(range / UNITS)),
      zeroPoint: best.zeroPoint,
    };
  }

  #trySymmetric(count: number): void {
    const middle = (this.#top + 1) / 2;
    const { first, step } = OFFSETS[this.#bits];
    for (let i = 0; i < CANDIDATES; i++) this.#try(count, middle * 8 + first + i * step, middle);
  }

  /** @param negatedLow the smallest element in units, negated */
  #tryAsymmetric(count: number, negatedLow: number): void {
    const top = this.#top;
    const { first, step } = OFFSETS[this.#bits];
    for (let i = 0; i < CANDIDATES; i++) {
      const factor = top * 8 + first + i * step;
      this.#try(count, factor, clamp(scaleUnits(negatedLow, factor), 0, top));
    }
    const { product, square, zeroPoint } = this.#best;
    if (product <= 0) return;
    // The step that fits the best candidate's codes, with its zero point and the two beside it.
    const exact = Math.fround(Math.fround(square / product) * (8 * UNITS));
    const factor = roundEven(clamp(exact, 1, 32767));
    this.#try(count, factor, Math.max(zeroPoint - 1, 0));
    this.#try(count, factor, zeroPoint);
    this.#try(count, factor, Math.min(zeroPoint + 1, top));
  }

  #try(count: number, factor: number, zeroPoint: number): void {
    const units = this.#units;
    const weights = this.#weights;
    const [lowest, highest] = [-zeroPoint, this.#top - zeroPoint];
    const run = this.#isWeighted ? WEIGHTED_RUN : count;
    let product = 0;
    let square = 0;
    for (let first = 0; first < count; first += run) {
      const end = Math.min(first + run, count);
      let products = 0;
      let squares = 0;
      for (let i = first; i < end; i++) {
        const unit = units[i] as number;
        const scaled = (unit * factor + 0x4000) >> 15;
        const code = scaled < lowest ? lowest : scaled > highest ? highest : scaled;
        const weighted = code * (weights[i] as number);
        products += weighted * unit;
        squares += weighted * code;
      }
      product = Math.fround(product + Math.fround(products));
      square = Math.fround(square + Math.fround(squares));
    }
    const fround = Math.fround;
    const best = this.#best;
    const gain = fround(fround(product * Math.abs(product)) * best.square);
    if (gain <= fround(fround(best.product * best.product) * square)) return;
    best.product = product;
    best.square = square;
    best.zeroPoint = zeroPoint;
  }

  #weigh(count: number): void {
    const units = this.#units;
    let squares = 0;
    for (let first = 0; first < count; first += WEIGHTED_RUN) {
      const end = Math.min(first + WEIGHTED_RUN, count);
      let sum = 0;
      for (let i = first; i < end; i++) sum += (units[i] as number) ** 2;
      squares = Math.fround(squares + Math.fround(sum));
    }
    const rms = roundEven(Math.fround(Math.sqrt(Math.fround(squares / count))));
    const shift = WEIGHT_SHIFTS[this.#bits];
    for (let i = 0; i < count; i++) {
      this.#weights[i] = (rms + Math.abs(units[i] as number)) >> shift;
    }
  }
}
