/** Cases about the tensor that refers to external data: its type and shape, its other values, where it sits. */

import { DType } from '../../../src/dtypes.ts';
import type { Case, CaseGroup } from './case.ts';
import { has } from './files.ts';
import {
  addModel,
  BYTES,
  COUNT,
  external,
  identityModel,
  numbers,
  PLACES,
  type Place,
  placeModel,
  reference,
  reshapeModel,
  write,
} from './models.ts';

type Build = Case['build'];

function shaped(dims: number[]): Build {
  return has(reference(), { dims });
}

function typed(dataType: number): Build {
  return (files) => write(files, identityModel(external(reference(), { dataType })));
}

/** A tensor of shape [0] at the end of a data file of `byteLength` bytes. */
function noElements(byteLength: number): Build {
  return (files) =>
    write(files, addModel(external(reference('w.data', byteLength, 0), { dims: [0] })), {
      'w.data': Buffer.alloc(byteLength),
    });
}

const both = { lathe: 'reads', runtime: 'reads' } as const;
const malformed = { lathe: 'ERR_EXTERNAL_DATA', runtime: 'refuses' } as const;
const limit = { lathe: 'ERR_LIMIT', runtime: 'refuses' } as const;

const tensors: Case[] = [
  {
    name: 'other values in `raw_data`: not looked at',
    build: has(reference(), { rawData: numbers(9000) }),
    ...both,
  },
  {
    name: 'other values in `float_data`: not looked at',
    build: has(reference(), { floatData: [5, 6] }),
    ...both,
  },
  {
    name: 'the same in a tensor of four values',
    build: has(reference('w.data', 0, 16), { dims: [4], floatData: [5, 6] }),
    ...both,
    elements: 4,
  },
  {
    name: 'entries without `data_location`: not looked at',
    build: has(reference('nothing'), { dataLocation: 0, rawData: numbers(7) }),
    ...both,
    first: 7,
  },
  { name: 'dimensions whose product overflows', build: shaped([2 ** 31, 2 ** 31, 4]), ...limit },
  { name: 'a negative dimension', build: shaped([-COUNT]), ...limit },
  { name: 'two negative dimensions', build: shaped([-2, -COUNT / 2]), ...limit },
  { name: 'strings', build: typed(DType.STRING), ...malformed },
  { name: 'an undefined type', build: typed(0), ...malformed },
  {
    name: 'an element type of tomorrow',
    build: typed(99),
    lathe: 'reads',
    runtime: 'refuses',
    difference: 'newTypes',
    written: 'refuses',
  },
  {
    name: 'a tensor without elements, at the end of a file',
    build: noElements(BYTES),
    lathe: 'reads',
    runtime: 'refuses',
    difference: 'noElements',
    first: null,
    elements: 0,
  },
  {
    name: 'a tensor without elements, in an empty file',
    build: noElements(0),
    lathe: 'reads',
    runtime: 'aborts',
    difference: 'noElements',
    first: null,
    elements: 0,
  },
  {
    name: 'the shape of a Reshape',
    build: (files) => {
      const shape = new Uint8Array(BigInt64Array.of(2n, BigInt(COUNT / 2)).buffer);
      return write(files, reshapeModel(reference('w.data', 0, 16)), { 'w.data': shape });
    },
    lathe: 'reads',
    runtime: 'refuses',
    difference: 'shapes',
    first: null,
  },
];

/** Tensors that are there and that nothing computes with. */
const UNUSED: readonly Place[] = [
  'an initializer nobody reads',
  'a function nobody calls',
  'training information',
];

const places: Case[] = PLACES.flatMap((place): Case[] => {
  const isUsed = !UNUSED.includes(place);
  const inPlace = (location: string): Build => {
    return (files) => {
      files.write('w.data', numbers(9000));
      return write(files, placeModel(place, reference(location)));
    };
  };
  const unused = { difference: 'unusedReferences', runtime: 'reads' } as const;
  const dangling = isUsed ? ({ runtime: 'refuses' } as const) : unused;
  const first = isUsed ? 1 : null;
  return [
    { name: place, build: inPlace('w.data'), ...both, first },
    {
      name: `${place}, a missing file`,
      summary: `${isUsed ? 'any' : 'one nobody uses'}, the file missing`,
      build: inPlace('none'),
      lathe: 'ERR_NOT_FOUND',
      ...dangling,
      first,
    },
    {
      name: `${place}, \`../w.data\``,
      summary: `${isUsed ? 'any' : 'one nobody uses'}, at \`../w.data\``,
      build: inPlace('../w.data'),
      lathe: 'ERR_PATH_ESCAPE',
      ...dangling,
      first,
    },
  ];
});

export const tensorGroups: readonly CaseGroup[] = [
  { heading: 'Tensors', cases: tensors },
  { heading: 'Places of tensors', cases: places },
];
