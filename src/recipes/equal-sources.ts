/** Which of many tensors hold the same bytes: a look at three places of each, then whole comparisons of what is left. */

import { setImmediate } from 'node:timers/promises';
import { KIB } from '../bytes.ts';
import { CancelledError } from '../errors.ts';
import type { StreamOptions } from '../external-data/write.ts';
import { groupBy } from '../model/groups.ts';
import type { FileRange } from '../model/tensor-data.ts';
import { fileReader } from '../proto/file-reader.ts';
import type { ProgramResult } from '../stream/executor.ts';
import type { CompareFold } from '../stream/folds.ts';
import { ProgramBuilder } from '../stream/program-builder.ts';
import type { ByteSource } from '../surgeries/gates.ts';

/** Weights that differ nearly always differ in the first page, the middle one or the last. */
const SAMPLE = 4 * KIB;

/** Sources looked at before other events get their turn. */
const SAMPLES_AT_ONCE = 256;

/** Bytes compared at once where one side is in memory. */
const PIECE = 256 * KIB;

/** A source, and its place in the question. */
interface Member {
  readonly source: ByteSource;
  readonly group: number;
  readonly index: number;
}

/** What {@link findEqualSources} works with. */
export interface RangeReader {
  readonly options: StreamOptions;
  readonly run: (builder: ProgramBuilder) => Promise<ProgramResult>;
  readonly countBytes: (bytes: number) => void;
}

/** How two sources differ: the bytes that do, and the first of them. */
type Difference = Pick<CompareFold, 'different' | 'firstIndex'>;

/** Gives parts of a source; what comes from a file is counted. */
function partsOf(
  source: ByteSource,
  { countBytes }: RangeReader,
): (at: number, byteLength: number) => Uint8Array {
  if (source instanceof Uint8Array) {
    return (at, byteLength) => source.subarray(at, at + byteLength);
  }
  const { file, byteOffset } = source;
  const { read } = fileReader(file.fd, file.byteLength, file.path);
  return (at, byteLength) => {
    countBytes(byteLength);
    return read(byteOffset + at, byteLength);
  };
}

function sampleDigest(source: ByteSource, reader: RangeReader): string {
  const part = partsOf(source, reader);
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256'); // takes 10 ms to load
  const length = Math.min(SAMPLE, source.byteLength);
  const last = source.byteLength - length;
  for (const at of new Set([0, Math.floor(last / 2), last])) hash.update(part(at, length));
  return hash.digest('base64');
}

/** Sets of two and more members for which `keyOf` gives the same. */
function split(
  sets: readonly (readonly Member[])[],
  keyOf: (member: Member) => string,
): Member[][] {
  return sets.flatMap((members) =>
    [...groupBy(members, keyOf).values()].filter((alike) => alike.length > 1),
  );
}

async function splitBySamples(sets: readonly Member[][], reader: RangeReader): Promise<Member[][]> {
  const digests = new Map<Member, string>();
  for (const member of sets.filter((members) => members.length > 1).flat()) {
    if (digests.size % SAMPLES_AT_ONCE === SAMPLES_AT_ONCE - 1) await setImmediate();
    if (reader.options.signal?.aborted) throw new CancelledError();
    digests.set(member, sampleDigest(member.source, reader));
  }
  return split(sets, (member) => digests.get(member) ?? '');
}

/** Compares two sources of which one is in memory, piece by piece on this thread. */
async function compareHere(a: ByteSource, b: ByteSource, reader: RangeReader): Promise<Difference> {
  const [partOfA, partOfB] = [partsOf(a, reader), partsOf(b, reader)];
  let different = 0;
  let firstIndex: number | undefined;
  for (let done = 0; done < a.byteLength; done += PIECE) {
    await setImmediate();
    if (reader.options.signal?.aborted) throw new CancelledError();
    const byteLength = Math.min(PIECE, a.byteLength - done);
    const [left, right] = [partOfA(done, byteLength), partOfB(done, byteLength)];
    if (Buffer.compare(left, right) === 0) continue;
    for (let at = 0; at < byteLength; at++) {
      if (left[at] === right[at]) continue;
      firstIndex ??= done + at;
      different++;
    }
  }
  return { different, firstIndex };
}

/** Compares pairs of ranges as they stream by. */
async function compareRanges(
  pairs: ReadonlyMap<Member, readonly [FileRange, FileRange]>,
  reader: RangeReader,
): Promise<[Member, Difference][]> {
  if (pairs.size === 0) return [];
  const builder = new ProgramBuilder(reader.options);
  const jobs = [...pairs].map(([member, [a, b]]) => {
    const parameters = {
      elementBytes: 1,
      rows: 1,
      columns: b.byteLength,
      transposed: false,
    } as const;
    return [member, builder.addCompare(parameters, a, b)] as const;
  });
  const { folds } = await reader.run(builder);
  return jobs.map(([member, job]) => {
    const fold = folds.get(job);
    if (fold?.kernel !== 'compare') throw new Error('a comparison without a result');
    return [member, fold];
  });
}

/** Compares all members of each set with its first. */
async function compareWithFirst(
  sets: readonly Member[][],
  reader: RangeReader,
): Promise<Map<Member, Difference>> {
  const results = new Map<Member, Difference>();
  const ranges = new Map<Member, readonly [FileRange, FileRange]>();
  for (const [first, ...others] of sets) {
    if (first === undefined) continue;
    const { source: a } = first;
    for (const other of others) {
      const { source: b } = other;
      if (a instanceof Uint8Array || b instanceof Uint8Array) {
        results.set(other, await compareHere(a, b, reader));
      } else {
        ranges.set(other, [a, b]);
      }
    }
  }
  for (const [member, result] of await compareRanges(ranges, reader)) results.set(member, result);
  return results;
}

/**
 * For each source of each group the index in its group of the first one with the same bytes, its own where there is
 * none. Sources of a group have one length. What is not found equal was seen to differ; what is found equal was
 * compared to the last byte.
 */
export async function findEqualSources(
  groups: readonly (readonly ByteSource[])[],
  reader: RangeReader,
): Promise<number[][]> {
  const answer = groups.map((sources) => sources.map((_, index) => index));
  const members = groups.map((sources, group) =>
    sources.map((source, index) => ({ source, group, index })),
  );
  let open = await splitBySamples(members, reader);
  while (open.length > 0) {
    const results = await compareWithFirst(open, reader);
    for (const [first, ...others] of open) {
      for (const other of others) {
        const row = answer[other.group];
        if (row === undefined || first === undefined) continue;
        if (results.get(other)?.different === 0) row[other.index] = first.index;
      }
    }
    // Two sources that differ from the first in other places, or in more, differ from each other.
    const rest = open.map(([, ...others]) =>
      others.filter((other) => results.get(other)?.different !== 0),
    );
    open = split(rest, (member) => {
      const result = results.get(member);
      return `${result?.firstIndex} ${result?.different}`;
    });
  }
  return answer;
}
