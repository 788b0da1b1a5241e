/** Sums that do not depend on the order of their terms, because nothing is rounded before the end. Pure. */

/** Digits of an {@link ExactSum}; the same in native/kernels/kernels.h. */
export const SUM_DIGITS = 20;

const DIGIT_BITS = 32;
const DIGIT = 2 ** DIGIT_BITS;

/** What digit 0 counts, as a power of two: squares of binary32 numbers are multiples of 2^-298. */
const LOWEST_EXPONENT = -320;

const UNITS = Float64Array.from(
  { length: SUM_DIGITS },
  (_, digit) => 2 ** (DIGIT_BITS * digit + LOWEST_EXPONENT),
);

// A digit holds 2^53 exactly and grows by less than 2^32 with every number.
const ADDITIONS_BETWEEN_CARRIES = 2 ** 20;

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

/**
 * The exact sum of numbers that are not negative, multiples of 2^-320, and below 2^320 in total: 20 digits of 32 bits.
 */
export class ExactSum {
  readonly #digits: Float64Array;
  #additions = 0;

  /** Starts with digits that {@link digits} gave, or with none. */
  constructor(digits: ArrayLike<number> = []) {
    this.#digits = new Float64Array(SUM_DIGITS);
    this.#digits.set(digits);
  }

  add(value: number): void {
    if (value === 0) return;
    float[0] = value;
    const exponent = ((words[1] as number) >>> 20) - 1023;
    let digit = Math.floor((exponent - LOWEST_EXPONENT) / DIGIT_BITS);
    for (let rest = value; rest > 0; digit--) {
      const unit = UNITS[digit] as number;
      const count = Math.floor(rest / unit);
      this.#digits[digit] = (this.#digits[digit] as number) + count;
      rest -= count * unit;
    }
    this.#countAddition();
  }

  addSum(other: ExactSum): void {
    const digits = other.digits();
    for (let digit = 0; digit < SUM_DIGITS; digit++) {
      this.#digits[digit] = (this.#digits[digit] as number) + (digits[digit] as number);
    }
    this.#countAddition();
  }

  #countAddition(): void {
    if (++this.#additions >= ADDITIONS_BETWEEN_CARRIES) this.#carry();
  }

  #carry(): void {
    this.#additions = 0;
    for (let digit = 0; digit < SUM_DIGITS - 1; digit++) {
      const carried = Math.floor((this.#digits[digit] as number) / DIGIT);
      this.#digits[digit] = (this.#digits[digit] as number) - carried * DIGIT;
      this.#digits[digit + 1] = (this.#digits[digit + 1] as number) + carried;
    }
  }

  /** The digits, lowest first, each below 2^32. */
  digits(): Float64Array {
    this.#carry();
    return this.#digits.slice();
  }

  /** The sum, rounded once. */
  toNumber(): number {
    let total = 0n;
    for (const digit of this.digits().reverse()) total = (total << 32n) + BigInt(digit);
    return Number(total) * (UNITS[0] as number);
  }
}
