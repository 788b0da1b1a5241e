/**
 * Blocks as Olive's passes quantize them, bit for bit; the native twin is native/kernels/olive.cc. Sources: Olive
 * 0.13.0 (rtn_quantization.py, kquant_quantization.py, graph_surgeries.py) on NumPy 2.4.6, ONNX Runtime 1.30.0. Pure.
 */

import { BlockQuantizer, type QuantizeTarget } from './block-quantizer.ts';
import type { FloatTypeCode } from './kernel.ts';
import {
  areQuantizable,
  BlockWriter,
  clip,
  type OliveFormat,
  roundEven,
  roundingTo,
} from './olive-block.ts';
import { OliveFitSearch } from './olive-k-quant.ts';
import type { TileQuantizer } from './quantize.ts';

/** The quantizer of one of Olive's methods for a tile. */
export function oliveQuantizer(format: OliveFormat, target: QuantizeTarget): TileQuantizer {
  switch (format.method) {
    case 'olive-rtn':
      return new RtnQuantizer(format, target);
    case 'olive-gather':
      return new GatherQuantizer(format, target);
    case 'olive-int8':
      return new Int8Quantizer(format, target);
    default:
      return new KQuantizer(format, target);
  }
}

/**
 * ONNX Runtime's quantizer. Where an odd channel ends at 4 bits, the slot beside its last code keeps what was last
 * there: the code before that one, of the pair of blocks whose zero points share a byte, or 0.
 */
class RtnQuantizer implements TileQuantizer {
  readonly #inner: BlockQuantizer;
  readonly #target: QuantizeTarget;
  readonly #bits: number;
  readonly #blob: number;

  constructor(format: OliveFormat, target: QuantizeTarget) {
    this.#inner = new BlockQuantizer({ ...format, method: 'rtn' }, target);
    this.#target = target;
    this.#bits = format.bits;
    this.#blob = (format.blockSize * format.bits) / 8;
  }

  quantize(values: Float32Array, count: number, channel: number, block: number): boolean {
    if (!this.#inner.quantize(values, count, channel, block)) return false;
    if (this.#bits === 8 || count % 2 === 0 || (count === 1 && block % 2 === 0)) return true;
    const { codes, codesStride } = this.#target;
    const last = channel * codesStride + block * this.#blob + (count - 1) / 2;
    codes[last] = (codes[last] as number) | ((codes[last - 1] as number) & 0xf0);
    return true;
  }
}

/**
 * Olive's NumPy arithmetic for the table of a Gather: in the type of the table, with true divisions and ties to even.
 * For bf16, which NumPy widens when it meets a Python number, only the range is rounded to it, and codes come of the
 * scale as it was before it is stored.
 */
class GatherQuantizer implements TileQuantizer {
  readonly #format: OliveFormat;
  readonly #writer: BlockWriter;
  readonly #codes: Uint8Array;
  readonly #roundRange: (value: number) => number;
  readonly #round: (value: number) => number;

  constructor(format: OliveFormat, target: QuantizeTarget) {
    this.#format = format;
    this.#writer = new BlockWriter(format, target, 0);
    this.#codes = new Uint8Array(format.blockSize);
    this.#roundRange = roundingTo(format.type);
    this.#round = format.type === 16 ? Math.fround : this.#roundRange;
  }

  quantize(values: Float32Array, count: number, channel: number, block: number): boolean {
    const { type, bits, symmetric } = this.#format;
    if (!areQuantizable(type, values, count)) return false;
    const round = this.#round;
    const middle = 2 ** (bits - 1);
    const top = 2 ** bits - 1;
    const scale = symmetric
      ? round(this.#peak(values, count) / -middle)
      : this.#step(values, count, top);
    const codes = this.#codes;
    if (scale === 0) {
      codes.fill(middle);
      this.#writer.zeroPoint(channel, block, middle);
    } else if (symmetric) {
      for (let i = 0; i < count; i++) {
        const steps = roundEven(round((values[i] as number) / scale));
        codes[i] = clip(steps, -middle, middle - 1) + middle;
      }
    } else {
      const low = Math.min(0, ...values.subarray(0, count));
      const zeroPoint = clip(roundEven(round(-low / scale)), 0, top);
      this.#writer.zeroPoint(channel, block, zeroPoint);
      for (let i = 0; i < count; i++) {
        const position = round(round((values[i] as number) / scale) + zeroPoint);
        codes[i] = clip(roundEven(position), 0, top);
      }
    }
    this.#writer.scale(channel, block, scale);
    this.#writer.codes(channel, block, codes, count);
    return true;
  }

  #step(values: Float32Array, count: number, top: number): number {
    const block = values.subarray(0, count);
    const range = this.#roundRange(Math.max(0, ...block) - Math.min(0, ...block));
    return this.#round(range / top);
  }

  /** The element of largest magnitude, the least of two; of zeros NumPy takes the first for fp16, else the last. */
  #peak(values: Float32Array, count: number): number {
    const block = values.subarray(0, count);
    const [low, high] = [Math.min(...block), Math.max(...block)];
    const peak = Math.abs(high) > Math.abs(low) ? high : low;
    return peak === 0 ? (values[this.#format.type === 10 ? 0 : count - 1] as number) : peak;
  }
}

/** Steps of the largest magnitude / 127 around 128. */
class Int8Quantizer implements TileQuantizer {
  readonly #type: FloatTypeCode;
  readonly #writer: BlockWriter;
  readonly #codes: Uint8Array;
  readonly #round: (value: number) => number;

  constructor(format: OliveFormat, target: QuantizeTarget) {
    this.#type = format.type;
    this.#writer = new BlockWriter(format, target, 0);
    this.#codes = new Uint8Array(format.blockSize);
    this.#round = roundingTo(format.type);
  }

  quantize(values: Float32Array, count: number, channel: number, block: number): boolean {
    if (!areQuantizable(this.#type, values, count)) return false;
    const magnitude = Math.max(...values.subarray(0, count).map(Math.abs));
    const scale = this.#round(Math.fround(magnitude / 127));
    const step = scale || 1;
    for (let i = 0; i < count; i++) {
      const steps = roundEven(Math.fround((values[i] as number) / step));
      this.#codes[i] = clip(steps, -128, 127) + 128;
    }
    this.#writer.scale(channel, block, scale);
    this.#writer.zeroPoint(channel, block, 128);
    this.#codes.fill(0, count);
    this.#writer.codes(channel, block, this.#codes, this.#codes.length);
    return true;
  }
}

/** The searched fits; what lies past the end of a channel is zeros, which take part and get codes. */
class KQuantizer implements TileQuantizer {
  readonly #type: FloatTypeCode;
  readonly #top: number;
  readonly #search: OliveFitSearch;
  readonly #writer: BlockWriter;
  readonly #codes: Uint8Array;

  constructor(format: OliveFormat, target: QuantizeTarget) {
    const bits = format.bits === 8 ? 8 : 4;
    this.#type = format.type;
    this.#top = 2 ** bits - 1;
    const single = format.method === 'olive-k-quant-single';
    this.#search = new OliveFitSearch(format.blockSize, bits, single);
    this.#writer = new BlockWriter(format, target, 8);
    this.#codes = new Uint8Array(format.blockSize);
  }

  quantize(values: Float32Array, count: number, channel: number, block: number): boolean {
    if (!areQuantizable(this.#type, values, count)) return false;
    values.fill(0, count);
    const { scale, zeroPoint } = this.#search.find(values);
    // In binary64, with the scale as it is before it is stored. NaN, of 0 / 0, becomes 0.
    for (let i = 0; i < values.length; i++) {
      const position = roundEven((values[i] as number) / scale + zeroPoint);
      this.#codes[i] = clip(position, 0, this.#top);
    }
    this.#writer.scale(channel, block, scale);
    this.#writer.zeroPoint(channel, block, zeroPoint);
    this.#writer.codes(channel, block, this.#codes, values.length);
    return true;
  }
}
