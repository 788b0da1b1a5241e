/** Cases about what the entries of a reference say: keys, offsets, lengths, and the ranges they make. */

import { closeSync, ftruncateSync, openSync, truncateSync, writeSync } from 'node:fs';
import type { ExternalEntry } from '../../../src/external-data/reference.ts';
import type { Case, CaseGroup } from './case.ts';
import { has } from './files.ts';
import {
  addModel,
  addTwo,
  BYTES,
  COUNT,
  entries,
  external,
  numbers,
  reference,
  write,
} from './models.ts';

type Build = Case['build'];

function offset(value: string): Build {
  return has(reference('w.data', value));
}

function length(value: string): Build {
  return has(reference('w.data', 0, value));
}

/** A data file that is shorter than the model says. */
function cut(byteLength: number): Build {
  return (files) => {
    const path = has(reference())(files);
    truncateSync(files.path('m/w.data'), byteLength);
    return path;
  };
}

function shifted(by: number): Build {
  return (files) => {
    const data = Buffer.concat([Buffer.alloc(by, 9), numbers()]);
    return write(files, addModel(external(reference('w.data', by))), { 'w.data': data });
  };
}

function two(
  first: readonly ExternalEntry[],
  second: readonly ExternalEntry[],
  dims: number[] = [COUNT],
): Build {
  return (files) => write(files, addTwo(first, second, dims), { 'w.data': numbers(1, 2 * COUNT) });
}

const both = { lathe: 'reads', runtime: 'reads' } as const;
const malformed = { lathe: 'ERR_EXTERNAL_DATA', runtime: 'refuses' } as const;
const bounds = { lathe: 'ERR_EXTERNAL_BOUNDS', runtime: 'refuses' } as const;
const mismatch = { lathe: 'ERR_TENSOR', runtime: 'refuses' } as const;
const unknownKey = {
  lathe: 'reads',
  runtime: 'refuses',
  difference: 'unknownKeys',
  warning: /^external data has keys ONNX Runtime refuses \(.*\); they are not written$/,
} as const;
const unlikeNumber = {
  lathe: 'ERR_EXTERNAL_DATA',
  runtime: 'reads',
  difference: 'numbers',
} as const;

const keys: Case[] = [
  { name: '`location` alone', build: has(entries({ location: 'w.data' })), ...both },
  {
    name: 'no `length`',
    build: has(entries({ location: 'w.data', offset: 4 })),
    ...both,
    first: 2,
  },
  { name: 'no `offset`', build: has(entries({ location: 'w.data', length: BYTES })), ...both },
  { name: 'keys in another order', build: has(reference().reverse()), ...both },
  {
    name: 'a `checksum`, right or wrong',
    build: has([...entries({ checksum: '0'.repeat(40) }), ...reference()]),
    ...both,
  },
  {
    name: 'keys that begin with `prepacked`',
    build: has([...reference(), ...entries({ prepacked_0: 'k|0;16;' })]),
    ...both,
  },
  {
    name: 'two offsets, or two lengths: the last counts',
    build: has([...entries({ offset: 9, length: 3 }), ...reference('w.data', 8)]),
    ...both,
    first: 3,
  },
  {
    name: '`basepath`',
    build: has([...reference(), ...entries({ basepath: '/tmp' })]),
    ...unknownKey,
  },
  { name: 'any other key', build: has([...reference(), ...entries({ Offset: 4 })]), ...unknownKey },
  { name: 'an empty key', build: has([...reference(), ...entries({ '': '' })]), ...unknownKey },
  { name: 'no entries', build: has([]), ...malformed },
  { name: 'no `location`', build: has(entries({ offset: 0, length: BYTES })), ...malformed },
  {
    name: 'two locations',
    build: has([...entries({ location: 'w.data' }), ...reference()]),
    ...malformed,
  },
];

const offsets: Case[] = [
  { name: '`004`', build: offset('004'), ...both, first: 2 },
  { name: '1: alignment is not asked for', build: shifted(1), ...both },
  ...['+4', ' 4', '4 ', '0x4', '-4', '4.0', '4e0', '٤', `${2n ** 63n}`, `${2n ** 64n}`].map(
    (value): Case => ({ name: `\`${value}\``, build: offset(value), ...malformed }),
  ),
  { name: 'an empty one', build: offset(''), ...malformed },
  {
    name: 'a bad one before a good one',
    build: has([...entries({ offset: 'x' }), ...reference()]),
    ...malformed,
  },
  { name: '`-0`', build: offset('-0'), ...unlikeNumber },
];

const lengths: Case[] = [
  { name: '`002048`', build: length('002048'), ...both },
  { name: '0, as if there were none', build: length('0'), ...both },
  ...['+2048', ' 2048', '-2048', '2048.0', `${2n ** 64n}`].map(
    (value): Case => ({ name: `\`${value}\``, build: length(value), ...malformed }),
  ),
  { name: 'an empty one', build: length(''), ...malformed },
  { name: '`0x800`', build: length('0x800'), ...unlikeNumber },
  { name: 'less than the shape takes', build: length('2044'), ...mismatch },
  { name: 'more than the shape takes', build: length('2052'), ...mismatch },
];

const FAR = 5 * 2 ** 30 + 1;

const ranges: Case[] = [
  { name: 'two tensors in one range', build: two(reference(), reference()), ...both, second: 1 },
  {
    name: 'two tensors of other shapes in one range',
    build: two(reference(), reference(), [1, COUNT]),
    ...both,
    second: 1,
  },
  {
    name: 'overlapping ranges',
    build: two(reference(), reference('w.data', BYTES / 2)),
    ...both,
    second: 1 + COUNT / 2,
  },
  {
    name: 'several data files',
    build: (files) =>
      write(files, addTwo(reference(), reference('sub/v.data')), {
        'w.data': numbers(),
        'sub/v.data': numbers(500),
      }),
    ...both,
    second: 500,
  },
  {
    name: 'an odd offset beyond 4 GiB',
    build: (files) => {
      const path = write(files, addModel(external(reference('w.data', FAR))), {});
      const fd = openSync(files.path('m/w.data'), 'w');
      ftruncateSync(fd, FAR);
      writeSync(fd, numbers(), 0, BYTES, FAR);
      closeSync(fd);
      return path;
    },
    ...both,
  },
  { name: 'a file without its last byte', build: cut(BYTES - 1), ...bounds },
  { name: 'an empty file', build: cut(0), ...bounds },
  { name: 'an offset at the end', build: offset(`${2 * BYTES}`), ...bounds },
  { name: 'an offset beyond the end', build: offset(`${2 ** 40}`), ...bounds },
];

export const entryGroups: readonly CaseGroup[] = [
  { heading: 'Keys', cases: keys },
  { heading: 'Offsets', cases: offsets },
  { heading: 'Lengths', cases: lengths },
  { heading: 'Ranges', cases: ranges },
];
