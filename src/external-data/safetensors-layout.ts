/**
 * Runs of bytes laid out in safetensors files: where each goes, and the header that says so. The format allows no
 * holes, so what aligns a tensor is an entry too, of zeros. Pure.
 */

import { alignUp, formatSize, MIB } from '../bytes.ts';
import { PreconditionError, UsageError } from '../errors.ts';
import { LazyBytes } from '../model/tensor-data.ts';
import { alignmentOf, type ByteCounts, type Layout, packWithin } from './layout.ts';
import {
  entryLabel,
  entryOffsets,
  HEADER_END,
  HEADER_START,
  headerPrefix,
  LONGEST_HEADER,
  PREFIX_BYTES,
} from './safetensors.ts';

/** Data begins at multiples of this, so that what is aligned within it is aligned in the file. */
const PAGE = 4096;
/** Small tensors start at multiples of this: what cuBLAS wants of those mapped for a device (onnxruntime/mobius#248). */
const LEAST_ALIGNMENT = 256;
/** The header is padded up to the data, and may not be longer than readers take. */
const LARGEST_ALIGNMENT = 64 * MIB;
/** Text of a header that is made at once. */
const PIECE_BYTES = 1 << 16;

/** The tensors to lay out: their number, and how a header calls each. */
export interface SafetensorsTensors {
  readonly byteLengths: ByteCounts;
  /** The text of an entry up to its offsets. */
  labelOf(index: number): string;
  /** What names of fillers begin with, and no name of a tensor. */
  readonly fillerName: string;
}

/** One file: the tensors from `first` to before `last`. */
export interface SafetensorsFile {
  readonly first: number;
  readonly last: number;
  readonly dataStart: number;
  readonly byteLength: number;
}

/** Tensors laid out in a series of files. */
export interface SafetensorsSeries {
  readonly files: readonly SafetensorsFile[];
  /** By tensor: where it begins in its file. */
  readonly byteOffsets: Float64Array;
  /** Exact length of each file. */
  readonly byteLengths: readonly number[];
}

/** Bytes that are made anew each time: a header may have 100 MB, and is looked at once or twice. */
class HeaderPiece extends LazyBytes {
  readonly #make: () => Uint8Array;

  constructor(byteLength: number, make: () => Uint8Array) {
    super(byteLength, make);
    this.#make = make;
  }

  override get bytes(): Uint8Array {
    return this.#make();
  }
}

/** Where a tensor of so many bytes starts behind `end` bytes of data. */
function alignedStart(end: number, byteLength: number, { align }: Layout): number {
  const least = align === undefined ? LEAST_ALIGNMENT : 1;
  return alignUp(end, Math.max(least, alignmentOf(byteLength, { align })));
}

/** The entries of a tensor that starts at `begin`, with the filler before it if `end` of the last one is below. */
function entryText(tensors: SafetensorsTensors, index: number, end: number, begin: number): string {
  const own =
    tensors.labelOf(index) + entryOffsets(begin, begin + (tensors.byteLengths[index] ?? 0));
  if (begin === end) return own;
  const type = { dtype: 'U8', shape: [begin - end] };
  return entryLabel(`${tensors.fillerName}${index}`, type) + entryOffsets(end, begin) + own;
}

function headerTooLong(tensors: number): PreconditionError {
  return new PreconditionError(
    'ERR_LIMIT',
    `the header of a safetensors file for ${tensors} tensors or more is longer than ${formatSize(LONGEST_HEADER)}, which readers refuse`,
    { hint: 'several files have several headers: give a max file size, or a larger inline below' },
  );
}

function pack(tensors: SafetensorsTensors, layout: Layout): SafetensorsSeries {
  const limit = layout.maxFileSize ?? Number.POSITIVE_INFINITY;
  const { byteLengths } = tensors;
  const startFor = (headerBytes: number) =>
    alignUp(PREFIX_BYTES + headerBytes, Math.max(PAGE, layout.align ?? 1));
  const fixedBytes = HEADER_START.length + HEADER_END.length;
  const byteOffsets = new Float64Array(byteLengths.length);
  const files: SafetensorsFile[] = [];
  let first = 0;
  let headerBytes = fixedBytes;
  let end = 0;
  const close = (last: number) => {
    if (last === first) return;
    const dataStart = startFor(headerBytes);
    for (let index = first; index < last; index++) {
      byteOffsets[index] = dataStart + (byteOffsets[index] as number);
    }
    files.push({ first, last, dataStart, byteLength: dataStart + end });
    [first, headerBytes, end] = [last, fixedBytes, 0];
  };
  for (let index = 0; index < byteLengths.length; index++) {
    const byteLength = byteLengths[index] as number;
    let begin = alignedStart(end, byteLength, layout);
    let text = Buffer.byteLength(entryText(tensors, index, end, begin));
    if (index > first && startFor(headerBytes + text) + begin + byteLength > limit) {
      close(index);
      begin = 0;
      text = Buffer.byteLength(entryText(tensors, index, 0, 0));
    }
    byteOffsets[index] = begin;
    headerBytes += text;
    end = begin + byteLength;
    if (startFor(headerBytes) - PREFIX_BYTES > LONGEST_HEADER)
      throw headerTooLong(index - first + 1);
  }
  close(byteLengths.length);
  return { files, byteOffsets, byteLengths: files.map((file) => file.byteLength) };
}

/**
 * Lays tensors out one after another, each aligned, in a file that has room or in the next one. Throws a
 * PreconditionError when that takes more files than a model may have, or a header beyond what readers take; a
 * UsageError for an alignment that no header can reach.
 */
export function layOutSafetensors(tensors: SafetensorsTensors, layout: Layout): SafetensorsSeries {
  if ((layout.align ?? 1) > LARGEST_ALIGNMENT) {
    throw new UsageError(
      'ERR_OPTION',
      `align is ${layout.align}, further than the header of safetensors can be padded`,
      { hint: 'give at most 64MiB, or the data format raw' },
    );
  }
  return packWithin(tensors.byteLengths, layout, (_, within) => pack(tensors, within));
}

/** A part of a file that is not the bytes of a tensor. */
export interface HeaderPart {
  readonly byteOffset: number;
  readonly data: LazyBytes;
}

/** What stands before the data of `file`, in parts of some 64 KiB that are made when they are looked at. */
export function* headerParts(
  tensors: SafetensorsTensors,
  series: SafetensorsSeries,
  file: SafetensorsFile,
): Generator<HeaderPart> {
  const { dataStart, last } = file;
  const beginOf = (index: number) => (series.byteOffsets[index] ?? 0) - dataStart;
  const endOf = (index: number) =>
    index < file.first ? 0 : beginOf(index) + (tensors.byteLengths[index] ?? 0);
  const textOf = (index: number) => entryText(tensors, index, endOf(index - 1), beginOf(index));
  let byteOffset = 0;
  for (let from = file.first; from < last; ) {
    const isFirst = from === file.first;
    let byteLength = isFirst ? PREFIX_BYTES + HEADER_START.length : 0;
    let to = from;
    while (to < last && byteLength < PIECE_BYTES) byteLength += Buffer.byteLength(textOf(to++));
    const padding = to < last ? 0 : dataStart - byteOffset - byteLength;
    const start = from;
    const make = () => {
      let text = isFirst ? HEADER_START : '';
      for (let index = start; index < to; index++) text += textOf(index);
      if (padding > 0) text += HEADER_END.padEnd(padding);
      const bytes = Buffer.from(text);
      return isFirst ? Buffer.concat([headerPrefix(dataStart - PREFIX_BYTES), bytes]) : bytes;
    };
    byteLength += padding;
    yield { byteOffset, data: new HeaderPiece(byteLength, make) };
    byteOffset += byteLength;
    from = to;
  }
}
