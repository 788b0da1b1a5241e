/**
 * How far numbers are from those that stand for them: the reference of native/kernels/measure-tally.inc.h. Pure.
 *
 * Block by block. In a block lane i of 16 sums the squares of elements i, i + 16, … in order, and the lanes are summed as
 * a tree, all in binary32; blocks whose sums could overflow or vanish there are computed in binary64. The sums of blocks
 * are added exactly, so that the result does not depend on how a weight was cut.
 */

import { ExactSum, SUM_DIGITS } from './exact-sum.ts';

/** Numbers of a packed {@link ErrorSum}; kErrorFields of native/kernels/kernels.h. */
export const ERROR_FIELDS = 2 * SUM_DIGITS + 5;

const LANES = 16;

/** Within these bounds the sums of a block of up to 256 binary32 numbers are exact to six digits. */
const SMALLEST_SIGNAL = 2 ** -60;
const LARGEST_SUM = 2 ** 100;

/** Something found at an element, -1 when nowhere. Of equals the first. */
export interface Peak {
  readonly value: number;
  readonly index: number;
}

const NO_PEAK: Peak = { value: 0, index: -1 };

function higher(a: Peak, value: number, index: number): Peak {
  if (index < 0 || value < a.value) return a;
  if (value === a.value && (a.index < 0 || index >= a.index)) return a;
  return { value, index };
}

/** Lanes summed in the order in which vectors of 16, 8 and 4 lanes all can. */
function sumLanes(lanes: Float32Array | Float64Array, round: (value: number) => number): number {
  const at = (lane: number) => lanes[lane] as number;
  const eighth = (lane: number) => round(at(lane) + at(lane + 8));
  const fourth = (lane: number) => round(eighth(lane) + eighth(lane + 4));
  return round(round(fourth(0) + fourth(1)) + round(fourth(2) + fourth(3)));
}

const errorLanes = new Float32Array(LANES);
const signalLanes = new Float32Array(LANES);

/** Sums, largest error and worst block over any part of a weight. Parts may be added in any order. */
export class ErrorSum {
  readonly #error = new ExactSum();
  readonly #signal = new ExactSum();
  #nonFinite = 0;
  #largest = NO_PEAK;
  #worst = NO_PEAK;

  /** Adds a block: the first `count` numbers of both. `index` is that of its first element in the whole weight. */
  addBlock(exact: Float32Array, found: Float32Array, count: number, index: number): void {
    errorLanes.fill(0);
    signalLanes.fill(0);
    let largest = 0;
    let largestAt = -1;
    for (let i = 0; i < count; i++) {
      const lane = i % LANES;
      const x = exact[i] as number;
      const e = Math.fround(x - (found[i] as number));
      errorLanes[lane] = (errorLanes[lane] as number) + Math.fround(e * e);
      signalLanes[lane] = (signalLanes[lane] as number) + Math.fround(x * x);
      if (Math.abs(e) > largest) {
        largest = Math.abs(e);
        largestAt = i;
      }
    }
    const error = sumLanes(errorLanes, Math.fround);
    const signal = sumLanes(signalLanes, Math.fround);
    if (signal >= SMALLEST_SIGNAL && signal <= LARGEST_SUM && error <= LARGEST_SUM) {
      this.#add(error, signal, index, { value: largest, index: largestAt });
    } else this.#addWide(exact, found, count, index);
  }

  #addWide(exact: Float32Array, found: Float32Array, count: number, index: number): void {
    const errors = new Float64Array(LANES);
    const signals = new Float64Array(LANES);
    let largest = NO_PEAK;
    for (let i = 0; i < count; i++) {
      const lane = i % LANES;
      const x = exact[i] as number;
      const y = found[i] as number;
      if (!Number.isFinite(x) || !Number.isFinite(y)) {
        const isSame = x === y || (Number.isNaN(x) && Number.isNaN(y));
        if (!isSame) this.#nonFinite++;
        continue;
      }
      const e = x - y;
      errors[lane] = (errors[lane] as number) + e * e;
      signals[lane] = (signals[lane] as number) + x * x;
      if (Math.abs(e) > largest.value) largest = { value: Math.abs(e), index: i };
    }
    const keep = (value: number) => value;
    this.#add(sumLanes(errors, keep), sumLanes(signals, keep), index, largest);
  }

  #add(error: number, signal: number, index: number, largest: Peak): void {
    this.#error.add(error);
    this.#signal.add(signal);
    if (largest.index >= 0) {
      this.#largest = higher(this.#largest, largest.value, index + largest.index);
    }
    if (error > 0) this.#worst = higher(this.#worst, error / signal, index);
  }

  /** Adds what another part of the weight came to. */
  addSum(other: ErrorSum): void {
    this.#error.addSum(other.#error);
    this.#signal.addSum(other.#signal);
    this.#nonFinite += other.#nonFinite;
    this.#largest = higher(this.#largest, other.#largest.value, other.#largest.index);
    this.#worst = higher(this.#worst, other.#worst.value, other.#worst.index);
  }

  /** Adds what {@link pack} or the addon wrote of another part. */
  addPacked(fields: Float64Array): void {
    const [nonFinite = 0, largest = 0, largestAt = -1, worst = 0, worstAt = -1] = fields.subarray(
      2 * SUM_DIGITS,
    );
    this.#error.addSum(new ExactSum(fields.subarray(0, SUM_DIGITS)));
    this.#signal.addSum(new ExactSum(fields.subarray(SUM_DIGITS, 2 * SUM_DIGITS)));
    this.#nonFinite += nonFinite;
    this.#largest = higher(this.#largest, largest, largestAt);
    this.#worst = higher(this.#worst, worst, worstAt);
  }

  /** As ERROR_FIELDS numbers: the digits of both sums, nonFinite, largest and worst with their indices. */
  pack(): Float64Array {
    const fields = new Float64Array(ERROR_FIELDS);
    fields.set(this.#error.digits(), 0);
    fields.set(this.#signal.digits(), SUM_DIGITS);
    const { value: largest, index: largestAt } = this.#largest;
    const { value: worst, index: worstAt } = this.#worst;
    fields.set([this.#nonFinite, largest, largestAt, worst, worstAt], 2 * SUM_DIGITS);
    return fields;
  }
}

/** What the packed fields of an {@link ErrorSum} say. */
export interface ErrorTotals {
  /** Sum of the squared differences. */
  readonly error: number;
  /** Sum of the squared numbers themselves. */
  readonly signal: number;
  /** Elements left out: one of the two is NaN or infinite, and the other is not the same. */
  readonly nonFinite: number;
  /** The largest difference, and the index of its element. */
  readonly largest: Peak;
  /** The largest error of a block divided by its signal, and the index of its first element. */
  readonly worst: Peak;
}

/** Reads what {@link ErrorSum.pack} or the addon wrote. */
export function unpackError(fields: Float64Array): ErrorTotals {
  const [nonFinite = 0, largest = 0, largestAt = -1, worst = 0, worstAt = -1] = fields.subarray(
    2 * SUM_DIGITS,
  );
  return {
    error: new ExactSum(fields.subarray(0, SUM_DIGITS)).toNumber(),
    signal: new ExactSum(fields.subarray(SUM_DIGITS, 2 * SUM_DIGITS)).toNumber(),
    nonFinite,
    largest: { value: largest, index: largestAt },
    worst: { value: worst, index: worstAt },
  };
}
