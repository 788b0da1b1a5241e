/** What a run did, as data for programs and for the command line. */

import type { SavePlan } from '../external-data/plan.ts';
import type { PlannedTensor } from '../external-data/planned-tensors.ts';
import type { TensorError } from '../external-data/write.ts';
import type { SurgeryResult } from '../surgeries/surgery.ts';

/** One surgery of the run and what it did. */
export interface StepReport extends Omit<SurgeryResult, 'quantized'> {
  readonly surgery: string;
}

/** A tensor of the output. */
export interface TensorReport {
  readonly name: string;
  readonly dtype: number;
  readonly dims: readonly number[];
  readonly byteLength: number;
  readonly placement: 'proto' | 'inline' | 'embedded' | 'external';
  /** True when this run makes its bytes, false when they are copied. */
  readonly isDerived: boolean;
}

/** Tensors of an output in the order of the model: described as often as they are asked for, in no memory. */
export class TensorReports implements Iterable<TensorReport> {
  readonly #tensors: Iterable<PlannedTensor>;

  constructor({ tensors }: Pick<SavePlan, 'tensors'>) {
    this.#tensors = tensors;
  }

  *[Symbol.iterator](): Generator<TensorReport> {
    for (const { named, placement } of this.#tensors) {
      const { tensor } = named;
      yield {
        name: named.name,
        dtype: tensor.dtype,
        dims: tensor.dims,
        byteLength: placement.kind === 'proto' ? (tensor.byteLength ?? 0) : placement.byteLength,
        placement: placement.kind,
        isDerived: tensor.data.kind === 'derived',
      };
    }
  }

  toJSON(): TensorReport[] {
    return [...this];
  }
}

/** What a run did, or would do. Sizes in bytes. */
export interface RunReport {
  readonly recipe: string;
  readonly input: { readonly path: string; readonly byteLength: number };
  readonly output: {
    /** Undefined for a dry run without `output`. */
    readonly path: string | undefined;
    readonly byteLength: number;
    readonly files: readonly { readonly name: string; readonly byteLength: number }[];
    /** Old data files of an edit in place that went, because nothing uses them any more. */
    readonly removed: readonly string[];
  };
  readonly steps: readonly StepReport[];
  /** False when there was nothing to do; then nothing was written. */
  readonly changed: boolean;
  readonly dryRun: boolean;
  /** A million take gigabytes as an array: `for (const tensor of report.tensors)` takes nothing. */
  readonly tensors: TensorReports;
  /** Tensors that share the bytes of another. */
  readonly aliases: number;
  /** Weights of the input, each stored copy counted once. */
  readonly weights: number;
  /** Stored bits per weight of the output, scales and zero points included. */
  readonly bitsPerWeight: number;
  readonly assets: readonly string[];
  /** Free bytes where the output goes; undefined without `output`, or where the file system does not say. */
  readonly freeDiskBytes: number | undefined;
  /** The budget the bytes move in; Node and the graph come on top. */
  readonly memoryBytes: number;
  /** Files of the package that were not taken along, with the reason. */
  readonly skipped: readonly { readonly name: string; readonly reason: string }[];
  readonly warnings: readonly string[];
  /** Source bytes read by gates before the write. */
  readonly gateBytesRead: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Bytes of the output that are neither read nor written: its blocks are those of the input. */
  readonly sharedBytes: number;
  /** How far quantized weights are from their sources; empty when nothing was quantized, written or measured. */
  readonly errors: readonly TensorError[];
  readonly seconds: number;
  /** Largest resident set of this process so far. */
  readonly peakRssBytes: number;
}
