/** How an output is laid out: what stays in the `.onnx`, and where everything else lies in data files. Pure. */

import { extname } from 'node:path';
import { alignUp, formatSize, GIB, KIB, MIB } from '../bytes.ts';
import { PreconditionError, UsageError } from '../errors.ts';
import { isSafetensorsName } from './safetensors.ts';

/** What a data file is: nothing but the bytes of tensors, or those behind a header that safetensors readers know. */
export type DataFormat = 'raw' | 'safetensors';

/** What `repack` can be asked for; what is left out has its default. */
export interface Layout {
  /** Everything goes inside the `.onnx`; excludes the other options. */
  readonly embed?: boolean | undefined;
  /**
   * What data files are. Default: as {@link dataName} says, which is safetensors when it ends in `.safetensors`, else
   * as in the input. Safetensors cannot share bytes: what several tensors refer to is written for each of them.
   */
  readonly dataFormat?: DataFormat | undefined;
  /**
   * Name of the data file; `{model}` stands for the name of the `.onnx` without extension. Further files have `_1`,
   * `_2` and so on appended; of safetensors, all have their number, as on Hugging Face (`x-00001-of-00002`). Default:
   * the name in the input where the format stays, else `<model>.onnx.data` or `<model>.safetensors`.
   */
  readonly dataName?: string | undefined;
  /** Bytes no data file exceeds, unless it holds a single tensor that does. Default: no limit. */
  readonly maxFileSize?: number | undefined;
  /** Tensors in data files start at multiples of this. Default: 4096 from 1 MiB, 64 below; 256 in safetensors. */
  readonly align?: number | undefined;
  /** Tensors below this many bytes stay in the `.onnx`. Default: 1 KiB. */
  readonly inlineBelow?: number | undefined;
}

/** Values below this stay in the `.onnx`: what other writers keep there too, and below any mapping's worth. */
export const INLINE_BELOW = KIB;
/** Tensors from this size start at a page; ONNX Runtime's own saver does the same. */
const PAGE_FROM = MIB;
const PAGE = 4096;
/** Everything else starts at a cache line, which also satisfies SIMD loads from a mapping. */
const CACHE_LINE = 64;

const LARGEST_ALIGNMENT = GIB;
/** Most data files of a model that transformers.js loads. */
export const MOST_DATA_FILES = 100;
/** Longest file name of common file systems. */
const LONGEST_NAME = 255;

/** The model's name in a template. */
const MODEL_PLACE = '{model}';

function refuse(message: string, hint: string): UsageError {
  return new UsageError('ERR_OPTION', message, { hint });
}

function checkSize(option: string, value: number | undefined, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= least)) return;
  throw refuse(`${option} is ${value}`, `give a whole number of bytes from ${least}`);
}

/** Throws a UsageError unless `name`, made of the template `given`, can be the name of a data file in every loader. */
function checkDataName(given: string, name: string): void {
  const problem = (what: string) =>
    refuse(
      `data name ${JSON.stringify(given)} ${what}`,
      'give one file name, such as {model}.onnx_data',
    );
  if (name === '') throw problem('is empty');
  if (/[/\\]/.test(name)) throw problem('is a path');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) throw problem('has control characters');
  if (/[{}]/.test(name)) throw problem(`has a place for something else than ${MODEL_PLACE}`);
  if (name.startsWith('.')) throw problem('starts with a dot');
  // onnx.load takes any ".." in a location for an attempt to leave the directory.
  if (name.includes('..')) throw problem('has two dots in a row');
  if (/\.onnx$/i.test(name)) throw problem('ends in .onnx, as only models do');
  const longest = LONGEST_NAME - (isSafetensorsName(name) ? '-00001-of-00099' : '_99').length;
  if (Buffer.byteLength(name) > longest) throw problem(`is longer than ${longest} bytes`);
}

/** Throws a UsageError when a name says another format than the one asked for. */
function checkDataFormat(format: DataFormat, dataName: string | undefined): void {
  if (format !== 'raw' && format !== 'safetensors') {
    throw refuse(`data format is ${JSON.stringify(format)}`, 'give raw or safetensors');
  }
  if (dataName === undefined || isSafetensorsName(dataName) === (format === 'safetensors')) return;
  throw refuse(
    `data name ${JSON.stringify(dataName)} does not fit the data format ${format}`,
    format === 'raw' ? 'only safetensors end in .safetensors' : 'give one ending in .safetensors',
  );
}

/** Throws a UsageError for options that exclude each other or cannot be met by any model. */
export function checkLayout(layout: Layout): void {
  const { embed, dataFormat, dataName, maxFileSize, align, inlineBelow } = layout;
  if (embed === true) {
    const others = {
      'data format': dataFormat,
      'data name': dataName,
      'max file size': maxFileSize,
      align,
      'inline below': inlineBelow,
    };
    const other = Object.entries(others).find(([, value]) => value !== undefined);
    if (other !== undefined) {
      throw refuse(
        `embed and ${other[0]} exclude each other`,
        'embed leaves nothing for data files',
      );
    }
  }
  if (dataName !== undefined) checkDataName(dataName, dataName.replaceAll(MODEL_PLACE, 'model'));
  if (dataFormat !== undefined) checkDataFormat(dataFormat, dataName);
  checkSize('max file size', maxFileSize, 1);
  checkSize('inline below', inlineBelow, 0);
  const isPowerOfTwo = align === undefined || Number.isInteger(Math.log2(align));
  if (!isPowerOfTwo || (align ?? 1) < 1 || (align ?? 1) > LARGEST_ALIGNMENT) {
    throw refuse(`align is ${align}`, 'give a power of two from 1 to 1 GiB');
  }
}

/** The name that a template gives the data file of `modelName`. Throws a UsageError when that is no file name. */
export function expandDataName(template: string, modelName: string): string {
  const name = template.replaceAll(MODEL_PLACE, modelName.replace(/\.onnx$/, ''));
  checkDataName(template, name);
  return name;
}

/** The data file number `index` of a series of `count`: as transformers.js looks for it, or Hugging Face's tools. */
export function seriesName(first: string, index: number, count: number): string {
  if (!isSafetensorsName(first)) return index === 0 ? first : `${first}_${index}`;
  if (count === 1) return first;
  const number = (value: number) => String(value).padStart(5, '0');
  const extension = extname(first);
  const stem = first.slice(0, first.length - extension.length);
  return `${stem}-${number(index + 1)}-of-${number(count)}${extension}`;
}

/**
 * `name`, or the first variant that is not taken, with a number before its extension: `model.onnx.1.data`. A number
 * that is there already gives way.
 */
export function freshName(name: string, isTaken: (name: string) => boolean): string {
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length).replace(/(?<=.)\.\d+$/, '');
  let fresh = name;
  for (let count = 1; isTaken(fresh); count++) fresh = `${stem}.${count}${extension}`;
  return fresh;
}

/** What a run of `byteLength` bytes starts at multiples of. */
export function alignmentOf(byteLength: number, { align }: Pick<Layout, 'align'>): number {
  return align ?? (byteLength >= PAGE_FROM ? PAGE : CACHE_LINE);
}

/** Lengths of runs, or other numbers of bytes. */
export type ByteCounts = ArrayLike<number>;

/** Runs of bytes laid out in a series of files, in columns: there may be a million. */
export interface LaidSeries {
  /** By run, in the order given: the number of its file, none below that of the run before. */
  readonly files: Int32Array;
  /** By run: where it begins in its file. */
  readonly byteOffsets: Float64Array;
  /** Exact length of each file. */
  readonly byteLengths: readonly number[];
}

/** Lays runs out in as many files as the limit of a layout takes. */
export type Packer<Series extends Pick<LaidSeries, 'byteLengths'>> = (
  runBytes: ByteCounts,
  layout: Layout,
) => Series;

function packRuns(runBytes: ByteCounts, layout: Layout): LaidSeries {
  const limit = layout.maxFileSize ?? Number.POSITIVE_INFINITY;
  const files = new Int32Array(runBytes.length);
  const byteOffsets = new Float64Array(runBytes.length);
  const byteLengths: number[] = [];
  for (let run = 0; run < runBytes.length; run++) {
    const byteLength = runBytes[run] as number;
    const end = byteLengths.at(-1);
    const byteOffset = end === undefined ? 0 : alignUp(end, alignmentOf(byteLength, layout));
    if (end === undefined || byteOffset + byteLength > limit) {
      byteLengths.push(byteLength);
    } else {
      byteLengths[byteLengths.length - 1] = byteOffset + byteLength;
      byteOffsets[run] = byteOffset;
    }
    files[run] = byteLengths.length - 1;
  }
  return { files, byteOffsets, byteLengths };
}

/** A limit, rounded up to whole MiB, under which `runBytes` take at most as many files as there may be. */
function sufficientLimit(
  runBytes: ByteCounts,
  layout: Layout,
  pack: Packer<Pick<LaidSeries, 'byteLengths'>>,
): number {
  let total = 0;
  for (let run = 0; run < runBytes.length; run++) total += runBytes[run] as number;
  for (let limit = total / MOST_DATA_FILES; ; limit *= 1.05) {
    const maxFileSize = alignUp(limit, MIB);
    const { byteLengths } = pack(runBytes, { ...layout, maxFileSize });
    if (byteLengths.length <= MOST_DATA_FILES) return maxFileSize;
  }
}

/** What `pack` makes of a layout. Throws a PreconditionError when that is more than {@link MOST_DATA_FILES}. */
export function packWithin<Series extends Pick<LaidSeries, 'byteLengths'>>(
  runBytes: ByteCounts,
  layout: Layout,
  pack: Packer<Series>,
): Series {
  const series = pack(runBytes, layout);
  const count = series.byteLengths.length;
  if (count <= MOST_DATA_FILES) return series;
  const limit = sufficientLimit(runBytes, layout, pack);
  throw new PreconditionError(
    'ERR_LIMIT',
    `files of at most ${formatSize(layout.maxFileSize ?? 0)} would be ${count}, a model may have ${MOST_DATA_FILES}`,
    {
      hint: `a size of ${limit / MIB}MiB is enough`,
      details: { files: count, maxFileSize: limit },
    },
  );
}

/**
 * Lays runs of bytes out one after another, each whole, aligned, in a file that has room or in the next one. Throws a
 * PreconditionError when that takes more than {@link MOST_DATA_FILES}.
 */
export function layOut(runBytes: ByteCounts, layout: Layout): LaidSeries {
  return packWithin(runBytes, layout, packRuns);
}
