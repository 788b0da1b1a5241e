/** The gates: whole tables compared as they stream by, within the same budget as the write. */

import { KIB } from '../bytes.ts';
import type { StreamOptions } from '../external-data/write.ts';
import type { CastLoss } from '../kernels/cast.ts';
import { floatByteLength } from '../kernels/float-types.ts';
import type { FileRange } from '../model/tensor-data.ts';
import { fileReader } from '../proto/file-reader.ts';
import { type ProgramResult, runProgram } from '../stream/executor.ts';
import { ProgramBuilder } from '../stream/program-builder.ts';
import type {
  ByteSource,
  CastQuestion,
  Comparison,
  EncodingCheck,
  FloatTable,
  Gates,
  StoredTable,
} from '../surgeries/gates.ts';
import { comparePacked, type PackedRows } from '../surgeries/packed-rows.ts';
import { findEqualSources } from './equal-sources.ts';
import { compareCorners } from './table-corner.ts';

function sameRange(a: FileRange, b: FileRange): boolean {
  return a.file === b.file && a.byteOffset === b.byteOffset && a.byteLength === b.byteLength;
}

const PACKED_PIECE = 256 * KIB;

/** Tables below this are compared whole at once; above it, a look at a corner first saves most untied heads' reading. */
const CORNER_FROM_ELEMENTS = 2 ** 22;

/** Gates that read source files through the stream room. */
export class StreamingGates implements Gates {
  #bytesRead = 0;
  readonly #options: StreamOptions;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  async compareTables(a: FloatTable, b: FloatTable): Promise<Comparison> {
    const compared = a.n * a.k;
    if (sameRange(a.range, b.range) && a.layout === b.layout) {
      return { compared, different: 0, first: undefined };
    }
    if (compared >= CORNER_FROM_ELEMENTS) {
      // One difference refuses a tie; only an acceptance has to have seen everything.
      const corner = compareCorners(a, b);
      this.#bytesRead += corner.bytesRead;
      if (corner.different > 0) return corner;
    }
    return this.#compareWhole(a, b);
  }

  async #compareWhole(a: FloatTable, b: FloatTable): Promise<Comparison> {
    // Stored alike they are compared flat, in the order of the file. Else rows of `b` wait in memory while columns of
    // `a` pass by: short rows, so that many wait and each read of `a` is long.
    const passing = a.n >= a.k ? 'columns' : 'rows';
    if (a.layout !== b.layout && a.layout !== passing) return this.#compareWhole(b, a);
    const flatColumns = a.layout === 'columns';
    const [rows, columns] = flatColumns ? [a.k, a.n] : [a.n, a.k];
    const size = floatByteLength(a.type);
    const parameters = { elementBytes: size, rows, columns, transposed: a.layout !== b.layout };
    const fold = await this.#compare(parameters, a.range, b.range);
    const index = fold.firstIndex;
    const at =
      index === undefined ? undefined : ([Math.floor(index / columns), index % columns] as const);
    const first =
      at === undefined
        ? undefined
        : { row: flatColumns ? at[1] : at[0], element: flatColumns ? at[0] : at[1] };
    return { compared: fold.compared, different: fold.different, first };
  }

  async compareRanges(a: FileRange, b: FileRange, rows?: PackedRows): Promise<Comparison> {
    if (rows !== undefined) return this.#comparePacked(a, b, rows);
    const parameters = {
      elementBytes: 1,
      rows: 1,
      columns: a.byteLength,
      transposed: false,
    } as const;
    const fold = await this.#compare(parameters, a, b);
    const first = fold.firstIndex === undefined ? undefined : { row: 0, element: fold.firstIndex };
    return { compared: fold.compared, different: fold.different, first };
  }

  findEqual(groups: readonly (readonly ByteSource[])[]): Promise<number[][]> {
    return findEqualSources(groups, {
      options: this.#options,
      run: (builder) => this.#run(builder),
      countBytes: (bytes) => {
        this.#bytesRead += bytes;
      },
    });
  }

  async measureCasts(casts: readonly CastQuestion[]): Promise<CastLoss[]> {
    if (casts.length === 0) return [];
    const builder = new ProgramBuilder(this.#options);
    const jobs = casts.map(({ range, ...parameters }) => builder.addMeasureCast(parameters, range));
    const { folds } = await this.#run(builder);
    return jobs.map((job) => {
      const fold = folds.get(job);
      if (fold?.kernel !== 'measure-cast') throw new Error('a cast without a measure');
      const { overflowed, zeroed, subnormal, peak } = fold;
      return { overflowed, zeroed, subnormal, peak };
    });
  }

  async checkEncoding(table: FloatTable, stored: StoredTable): Promise<EncodingCheck> {
    const builder = new ProgramBuilder(this.#options);
    const { bits, blockSize, scaleType, codes, scales, zeroPoints } = stored;
    const { type, layout, n, k } = table;
    const hasZeroPoints = zeroPoints !== undefined;
    const job = builder.addTieGate(
      { type, scaleType, bits, blockSize, n, k, hasZeroPoints, layout },
      { table: table.range, codes, scales, ...(zeroPoints === undefined ? {} : { zeroPoints }) },
    );
    const fold = (await this.#run(builder)).folds.get(job);
    if (fold?.kernel !== 'tie-gate') throw new Error('a tie gate without a result');
    const { worstIndex } = fold;
    const worst =
      worstIndex === undefined
        ? undefined
        : { row: Math.floor(worstIndex / k), element: worstIndex % k };
    return {
      compared: fold.compared,
      rejected: fold.rejected,
      worstSteps: fold.worstSteps,
      worst,
    };
  }

  /** Padded rows occur in zero points alone, a hundredth of a table: they are read in pieces on this thread. */
  #comparePacked(a: FileRange, b: FileRange, rows: PackedRows): Comparison {
    const left = fileReader(a.file.fd, a.file.byteLength, a.file.path);
    const right = fileReader(b.file.fd, b.file.byteLength, b.file.path);
    const piece = Math.max(1, Math.floor(PACKED_PIECE / rows.byteLength)) * rows.byteLength;
    let different = 0;
    let firstIndex: number | undefined;
    for (let done = 0; done < a.byteLength; done += piece) {
      const byteLength = Math.min(piece, a.byteLength - done);
      const part = comparePacked(
        left.read(a.byteOffset + done, byteLength),
        right.read(b.byteOffset + done, byteLength),
        rows,
      );
      different += part.different;
      if (part.firstIndex !== undefined) firstIndex ??= done + part.firstIndex;
    }
    this.#bytesRead += 2 * a.byteLength;
    const first = firstIndex === undefined ? undefined : { row: 0, element: firstIndex };
    return { compared: a.byteLength, different, first };
  }

  async #compare(
    parameters: Parameters<ProgramBuilder['addCompare']>[0],
    a: FileRange,
    b: FileRange,
  ) {
    const builder = new ProgramBuilder(this.#options);
    const job = builder.addCompare(parameters, a, b);
    const fold = (await this.#run(builder)).folds.get(job);
    if (fold?.kernel !== 'compare') throw new Error('a comparison without a result');
    return fold;
  }

  async #run(builder: ProgramBuilder): Promise<ProgramResult> {
    const { threads, io, signal, onProgress } = this.#options;
    const result = await runProgram(builder.finish(), {
      threads,
      io,
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    this.#bytesRead += result.bytesRead;
    return result;
  }
}
