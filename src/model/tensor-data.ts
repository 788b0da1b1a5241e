/** Where a tensor's bytes are. The graph holds these descriptions and never the bytes of a weight. Pure. */

import type {
  CastParameters,
  OutputSpec,
  QuantizeParameters,
  RelayoutParameters,
} from '../kernels/kernel.ts';

/**
 * A file that tensor bytes are read from, open for as long as the model is. Two SourceFile objects never describe
 * the same inode within one model, so identity is object identity.
 */
export interface SourceFile {
  /** Descriptor, open for reading. Owned by the model's OpenedFiles. */
  readonly fd: number;
  /** Path for messages and for finding the file again. */
  readonly path: string;
  readonly byteLength: number;
}

/** A run of bytes of a source file. */
export interface FileRange {
  readonly kind: 'range';
  readonly file: SourceFile;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Small bytes that are in memory: little-endian, packed as in `raw_data`. */
export interface InlineData {
  readonly kind: 'inline';
  readonly bytes: Uint8Array;
  /** Length of bytes that are fetched when something looks at them. */
  readonly byteLength?: number;
  /** Where a file holds the same bytes, if one does. */
  readonly range?: FileRange;
}

/** A value kept in typed protobuf fields (`int32_data`, `string_data`, …) or not at all; carried as it is. */
export interface ProtoData {
  readonly kind: 'proto';
}

/** A recipe for bytes: what a kernel makes of file ranges when the model is written. Interned: see `derive`. */
export type Derivation = (
  | { readonly kernel: 'quantize'; readonly parameters: QuantizeParameters }
  | { readonly kernel: 'cast'; readonly parameters: CastParameters }
  | { readonly kernel: 'relayout'; readonly parameters: RelayoutParameters }
) & {
  readonly sources: readonly [FileRange];
  readonly outputs: readonly OutputSpec[];
};

/** Output `output` of a derivation. */
export interface DerivedData {
  readonly kind: 'derived';
  readonly derivation: Derivation;
  readonly output: number;
}

export type TensorData = FileRange | InlineData | ProtoData | DerivedData;

/** Small bytes that are fetched when something wants them. */
export class LazyBytes implements InlineData {
  readonly kind = 'inline';
  readonly byteLength: number;
  readonly #fetch: () => Uint8Array;
  #bytes: Uint8Array | undefined;

  constructor(byteLength: number, fetch: () => Uint8Array) {
    this.byteLength = byteLength;
    this.#fetch = fetch;
  }

  get bytes(): Uint8Array {
    this.#bytes ??= this.#fetch();
    return this.#bytes;
  }
}

/** Length of a small value, without fetching it. */
export function inlineByteLength(data: InlineData): number {
  return data.byteLength ?? data.bytes.byteLength;
}

/** The file range that holds a tensor's bytes, whether or not they were read already. */
export function rangeOf(data: TensorData | undefined): FileRange | undefined {
  if (data?.kind === 'range') return data;
  return data?.kind === 'inline' ? data.range : undefined;
}
