/** Where the bits of 16-bit floats lie. Pure. */

export interface HalfLayout {
  /** The pattern of a finite number, as a signed integer, becomes that of a binary32 number: (pattern * factor) & mask. */
  readonly factor: number;
  readonly mask: number;
  /** That number times this one is what the pattern stands for. */
  readonly unit: number;
  /** The bits of the exponent. */
  readonly exponent: number;
  /** The exponent of the largest numbers whose inverse is a normal binary32 number. */
  readonly largestExponent: number;
}

/** By data type. An fp16 exponent that takes the place of a binary32 one as it is means 2^-112 times as much. */
export const HALF_LAYOUTS: Readonly<Record<10 | 16, HalfLayout>> = {
  10: {
    factor: 2 ** 13,
    mask: 0x8fffe000 | 0,
    unit: 2 ** 112,
    exponent: 0x7c00,
    largestExponent: 0x7800,
  },
  16: { factor: 2 ** 16, mask: -1, unit: 1, exponent: 0x7f80, largestExponent: 0x7e00 },
};
