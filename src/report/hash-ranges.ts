/** SHA-256 of byte ranges: each file is read once from front to back, whatever the number and order of the ranges. */

import { createHash } from 'node:crypto';
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { MIB } from '../bytes.ts';
import { fromSystemError, ResourceError } from '../errors.ts';
import type { FileRange } from '../model/tensor-data.ts';
import type { TensorRanges } from './tensor-ranges.ts';

/** Bytes of a digest. */
export const DIGEST_BYTES = 32;

/** Bytes that are read at once; two such windows are in memory, one being hashed while the other is read. */
const WINDOW_BYTES = 4 * MIB;

const readAt = promisify(read);

/** Called with the number of bytes hashed since the last call. */
export type OnHashed = (byteLength: number) => void;

/** What must be read, in order: windows that begin where the first byte is wanted that none before has. */
function* windowsOf(ranges: Iterable<FileRange>): Generator<FileRange> {
  let window: FileRange | undefined;
  for (const range of ranges) {
    const end = range.byteOffset + range.byteLength;
    for (let at = range.byteOffset; at < end; ) {
      if (window === undefined || !holds(window, range, at)) {
        const byteLength = Math.min(WINDOW_BYTES, range.file.byteLength - at);
        window = { kind: 'range', file: range.file, byteOffset: at, byteLength };
        yield window;
      }
      at = window.byteOffset + window.byteLength;
    }
  }
}

function holds(window: FileRange, { file }: FileRange, byteOffset: number): boolean {
  const { byteOffset: start, byteLength } = window;
  return window.file === file && byteOffset >= start && byteOffset < start + byteLength;
}

/** Fills `target` with bytes of a file. Throws a ResourceError when the file has fewer, or cannot be read. */
async function fill(target: Uint8Array, { file, byteOffset }: FileRange): Promise<void> {
  for (let done = 0; done < target.length; ) {
    const rest = target.length - done;
    const { bytesRead } = await readAt(file.fd, target, done, rest, byteOffset + done).catch(
      (error: unknown) => {
        throw fromSystemError(error, `reading ${file.path}`);
      },
    );
    if (bytesRead === 0) {
      throw new ResourceError('ERR_CHANGED', `${file.path} was cut short while it was read`, {
        hint: 'run again when nothing else writes to the model',
      });
    }
    done += bytesRead;
  }
}

/** A window and its bytes. */
interface Loaded {
  readonly window: FileRange;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Reads windows one ahead. */
class Windows implements AsyncDisposable {
  readonly #windows: Iterator<FileRange>;
  #spare = new Uint8Array(WINDOW_BYTES);
  #next: Promise<Loaded> | undefined;

  constructor(windows: Iterator<FileRange>) {
    this.#windows = windows;
    this.#next = this.#load(new Uint8Array(WINDOW_BYTES));
  }

  #load(buffer: Uint8Array<ArrayBuffer>): Promise<Loaded> | undefined {
    const { value: window } = this.#windows.next();
    if (window === undefined) return undefined;
    const bytes = buffer.subarray(0, window.byteLength);
    const loaded = fill(bytes, window).then(() => ({ window, bytes }));
    // Whoever waits for it gets the error; nobody may be waiting yet.
    loaded.catch(() => undefined);
    return loaded;
  }

  /** The next window, valid until the one after is asked for. */
  async take(): Promise<Loaded> {
    const loaded = (await this.#next) as Loaded;
    this.#next = this.#load(this.#spare);
    this.#spare = new Uint8Array(loaded.bytes.buffer);
    return loaded;
  }

  /** Waits for the read that goes on, after which the file may be closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#next?.catch(() => undefined);
  }
}

/** Hashes ranges that are in file order; one digest each. */
async function* digestsOf(
  ranges: () => Iterable<FileRange>,
  onHashed: OnHashed,
): AsyncGenerator<Buffer> {
  await using windows = new Windows(windowsOf(ranges()));
  let loaded: Loaded | undefined;
  for (const range of ranges()) {
    const hash = createHash('sha256');
    const end = range.byteOffset + range.byteLength;
    for (let at = range.byteOffset; at < end; ) {
      if (loaded === undefined || !holds(loaded.window, range, at)) loaded = await windows.take();
      const { window, bytes } = loaded;
      const until = Math.min(end, window.byteOffset + window.byteLength);
      hash.update(bytes.subarray(at - window.byteOffset, until - window.byteOffset));
      onHashed(until - at);
      at = until;
    }
    yield hash.digest();
  }
}

/** Digest of one range. */
export async function hashRange(range: FileRange, onHashed: OnHashed): Promise<Buffer> {
  for await (const digest of digestsOf(() => [range], onHashed)) return digest;
  throw new Error('a range has no digest');
}

/**
 * Digests of all ranges, 32 bytes each, in the order they were added; equal ranges are hashed once. Memory: the
 * result, 4 bytes a range, and 8 MiB. Throws a ResourceError.
 */
export async function hashRanges(ranges: TensorRanges, onHashed: OnHashed): Promise<Buffer> {
  const order = ranges.inFileOrder();
  const digests = Buffer.alloc(DIGEST_BYTES * ranges.count);
  const isFirst = (place: number) =>
    place === 0 || !ranges.isSame(order[place - 1] as number, order[place] as number);
  function* distinct() {
    for (const [place, index] of order.entries()) if (isFirst(place)) yield ranges.range(index);
  }
  let place = 0;
  for await (const digest of digestsOf(distinct, onHashed)) {
    do digest.copy(digests, DIGEST_BYTES * (order[place++] as number));
    while (place < order.length && !isFirst(place));
  }
  return digests;
}
