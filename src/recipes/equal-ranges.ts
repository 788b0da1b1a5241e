/** Which of many ranges hold the same bytes: a look at three places of each, then whole comparisons of what is left. */

import { createHash } from 'node:crypto';
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

/** Weights that differ nearly always differ in the first page, the middle one or the last. */
const SAMPLE = 4 * KIB;

/** Ranges looked at before other events get their turn. */
const SAMPLES_AT_ONCE = 256;

/** A range, and its place in the question. */
interface Member {
  readonly range: FileRange;
  readonly group: number;
  readonly index: number;
}

/** What {@link findEqualRanges} works with. */
export interface RangeReader {
  readonly options: StreamOptions;
  readonly run: (builder: ProgramBuilder) => Promise<ProgramResult>;
  readonly countBytes: (bytes: number) => void;
}

function sampleDigest({ file, byteOffset, byteLength }: FileRange, reader: RangeReader): string {
  const { read } = fileReader(file.fd, file.byteLength, file.path);
  const hash = createHash('sha256');
  const length = Math.min(SAMPLE, byteLength);
  const last = byteLength - length;
  for (const at of new Set([0, Math.floor(last / 2), last])) {
    hash.update(read(byteOffset + at, length));
    reader.countBytes(length);
  }
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
    digests.set(member, sampleDigest(member.range, reader));
  }
  return split(sets, (member) => digests.get(member) ?? '');
}

/** Compares all members of each set with its first. */
async function compareWithFirst(
  sets: readonly Member[][],
  reader: RangeReader,
): Promise<Map<Member, CompareFold>> {
  const builder = new ProgramBuilder(reader.options);
  const jobs = new Map<Member, number>();
  for (const [first, ...others] of sets) {
    for (const other of others) {
      const columns = other.range.byteLength;
      const parameters = { elementBytes: 1, rows: 1, columns, transposed: false } as const;
      jobs.set(other, builder.addCompare(parameters, (first ?? other).range, other.range));
    }
  }
  const { folds } = await reader.run(builder);
  const results = new Map<Member, CompareFold>();
  for (const [member, job] of jobs) {
    const fold = folds.get(job);
    if (fold?.kernel !== 'compare') throw new Error('a comparison without a result');
    results.set(member, fold);
  }
  return results;
}

/**
 * For each range of each group the index in its group of the first range with the same bytes, its own where there is
 * none. Ranges of a group have one length. What is not found equal was seen to differ; what is found equal was
 * compared to the last byte.
 */
export async function findEqualRanges(
  groups: readonly (readonly FileRange[])[],
  reader: RangeReader,
): Promise<number[][]> {
  const answer = groups.map((ranges) => ranges.map((_, index) => index));
  const members = groups.map((ranges, group) =>
    ranges.map((range, index) => ({ range, group, index })),
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
    // Two ranges that differ from the first in other places, or in more, differ from each other.
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
