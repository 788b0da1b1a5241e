/**
 * The search of Olive's OnnxKQuantQuantization (and of ONNX Runtime's k_quant, which is the same): its fits have an
 * offset of their own, which only in the end becomes a whole zero point, and no zero among the extremes. So a block of
 * one sign loses its values, and a constant one may become 0. `k-quant` is the method without these defects. Pure.
 */

import { clip, roundEven } from './olive-block.ts';

/** Candidates, from range / (top - 1) on in steps of a tenth. */
const STEPS = 20;
/** NumPy sums longer runs as two halves. */
const PAIRWISE_RUN = 128;

const { fround } = Math;

/** Binary32 sum of 16 to 256 terms in NumPy's pairwise order, which needs their number to be a multiple of 16. */
function sumPairwise(terms: Float32Array): number {
  if (terms.length > PAIRWISE_RUN) {
    const half = terms.length / 2;
    return fround(sumPairwise(terms.subarray(0, half)) + sumPairwise(terms.subarray(half)));
  }
  const r = terms.slice(0, 8);
  for (let i = 8; i < terms.length; i++) {
    r[i % 8] = (r[i % 8] as number) + (terms[i] as number);
  }
  const pair = (a: number, b: number) => fround((r[a] as number) + (r[b] as number));
  const low = fround(pair(0, 1) + pair(2, 3));
  return fround(low + fround(pair(4, 5) + pair(6, 7)));
}

/** Binary32 sum in the order of the terms. */
function sumInOrder(terms: Float32Array): number {
  return terms.reduce((sum, term) => fround(sum + term), 0);
}

/** What a search finds. */
export interface OliveFit {
  /** Not yet rounded to the type of the weight. */
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Finds fits for blocks of one size, with working memory for one block. */
export class OliveFitSearch {
  readonly #top: number;
  readonly #sum: (terms: Float32Array) => number;
  readonly #weights: Float32Array;
  readonly #codes: Float32Array;
  readonly #terms: Float32Array;

  /** @param single each of several channels is one block: NumPy then adds in the order of the elements */
  constructor(blockSize: number, bits: 4 | 8, single: boolean) {
    this.#top = 2 ** bits - 1;
    this.#sum = single ? sumInOrder : sumPairwise;
    this.#weights = new Float32Array(blockSize);
    this.#codes = new Float32Array(blockSize);
    this.#terms = new Float32Array(blockSize);
  }

  /** Fits a whole block of finite values. */
  find(x: Float32Array): OliveFit {
    const top = this.#top;
    const weights = this.#weights;
    const rms = fround(Math.sqrt(fround(this.#total((i) => at(x, i) * at(x, i)) / x.length)));
    for (let i = 0; i < x.length; i++) weights[i] = rms + Math.abs(at(x, i));
    const sumW = this.#sum(weights);
    const sumX = this.#total((i) => at(weights, i) * at(x, i));

    let offset = Math.min(...x);
    const high = Math.max(...x);
    const inverse = offset === high ? 1 : fround(top / fround(high - offset));
    let scale = fround(1 / inverse);
    this.#encode(x, inverse, offset);
    let best = this.#error(x, scale, offset);
    for (let step = 0; step < STEPS; step++) {
      const factor = fround(-1 + 0.1 * step + top);
      this.#encode(x, offset === high ? 1 : fround(factor / fround(high - offset)), offset);
      const fit = this.#fit(x, sumW, sumX);
      const error = this.#error(x, fit.scale, fit.offset);
      if (!(error < best)) continue;
      best = error;
      ({ scale, offset } = fit);
    }
    // As NumPy on x86-64 converts it, NaN is 0.
    const zeroPoint = clip(roundEven(fround(-offset / scale)), 0, top) || 0;
    return { scale, zeroPoint };
  }

  #total(term: (i: number) => number): number {
    const terms = this.#terms;
    for (let i = 0; i < terms.length; i++) terms[i] = term(i);
    return this.#sum(terms);
  }

  #encode(x: Float32Array, inverse: number, offset: number): void {
    const codes = this.#codes;
    for (let i = 0; i < x.length; i++) {
      const position = fround(inverse * fround(at(x, i) - offset));
      codes[i] = clip(roundEven(position), 0, this.#top);
    }
  }

  /** The line through the codes with the least weighted error. */
  #fit(x: Float32Array, sumW: number, sumX: number): { scale: number; offset: number } {
    const weights = this.#weights;
    const codes = this.#codes;
    const weighted = (i: number) => fround(at(weights, i) * at(codes, i));
    const sumL = this.#total(weighted);
    const sumL2 = this.#total((i) => weighted(i) * at(codes, i));
    const sumXL = this.#total((i) => weighted(i) * at(x, i));
    const divisor = crossed(sumW, sumL2, sumL, sumL);
    return {
      scale: fround(crossed(sumW, sumXL, sumX, sumL) / divisor),
      offset: fround(crossed(sumL2, sumX, sumL, sumXL) / divisor),
    };
  }

  #error(x: Float32Array, scale: number, offset: number): number {
    const codes = this.#codes;
    return this.#total((i) => {
      const value = fround(fround(scale * at(codes, i)) + offset);
      const miss = fround(value - at(x, i));
      return at(this.#weights, i) * fround(miss * miss);
    });
  }
}

function at(values: Float32Array, index: number): number {
  return values[index] as number;
}

/** a * b - c * d, each operation rounded. */
function crossed(a: number, b: number, c: number, d: number): number {
  return fround(fround(a * b) - fround(c * d));
}
