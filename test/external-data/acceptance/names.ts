/** Cases about names: files inside the model's directory, and names that lead to no file. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Case, CaseGroup } from './case.ts';
import { at, link, modelAt, withFiles } from './files.ts';
import { addModel, external, numbers, reference, write } from './models.ts';

const both = { lathe: 'reads', runtime: 'reads' } as const;
const missing = { lathe: 'ERR_NOT_FOUND', runtime: 'refuses' } as const;
const noFile = { lathe: 'ERR_EXTERNAL_DATA', runtime: 'refuses' } as const;

const insideCases: Case[] = [
  { name: 'a file beside the model', build: at('w.data'), ...both },
  { name: 'a file in a directory below', build: at('sub/w.data'), ...both },
  { name: '`./w.data`', build: at('./w.data'), ...both },
  { name: '`sub//w.data`', build: at('sub//w.data'), ...both },
  {
    name: '`sub/../w.data`',
    build: withFiles('sub/../w.data', (files) => {
      files.write('m/w.data', numbers());
      files.write('m/sub/w.data', numbers(9000));
    }),
    ...both,
  },
  { name: 'dots in a name: `a..b.bin`', build: at('a..b.bin'), ...both },
  { name: 'a name of dots: `...`', build: at('...'), ...both },
  { name: 'a colon in a name: `onnx::MatMul_12`', build: at('onnx::MatMul_12'), ...both },
  { name: 'a name that is not ASCII', build: at('gewicht-é.data'), ...both },
  { name: 'a name of 255 bytes', build: at('x'.repeat(255)), ...both },
  {
    name: 'the `.onnx` itself as data',
    build: (files) => {
      const model = (offset: number) =>
        addModel(
          external(reference('model.onnx', String(offset).padStart(4, '0')), {
            rawData: numbers(),
          }),
        );
      return write(files, model(Buffer.from(model(0)).indexOf(numbers())), {});
    },
    ...both,
  },
];

const nothingCases: Case[] = [
  { name: 'a missing file', build: withFiles('w.data', () => undefined), ...missing },
  {
    name: 'a link to nothing',
    build: withFiles('w.data', (files) => link(files, 'm/w.data', 'nothing')),
    ...missing,
  },
  {
    name: 'a missing directory, left again by `..`',
    build: at('sub/../w.data', 'w.data'),
    ...missing,
  },
  { name: 'a file as a directory', build: at('w.data/w', 'w.data'), ...missing },
  { name: 'another case: `W.data` for `w.data`', build: at('W.data', 'w.data'), ...missing },
  { name: 'another Unicode form of a name', build: at('e\u0301.data', '\u00e9.data'), ...missing },
  { name: 'a URL', build: at('file:///w.data', 'w.data'), ...missing },
  {
    name: 'a directory',
    build: withFiles('w.data', (files) => mkdirSync(files.path('m/w.data'))),
    ...noFile,
  },
  {
    name: 'a FIFO',
    build: withFiles('w.data', (files) => {
      execFileSync('mkfifo', [files.path('m/w.data')]);
    }),
    ...noFile,
  },
  { name: 'a slash at the end', build: at('w.data/', 'w.data'), ...noFile },
  { name: '`.`', build: withFiles('.', () => undefined), ...noFile },
  { name: 'an empty location', build: withFiles('', () => undefined), ...noFile },
  { name: 'a name of 256 bytes', build: withFiles('x'.repeat(256), () => undefined), ...noFile },
  {
    name: 'a NUL in the name',
    build: at('w.data\0.bin', 'w.data'),
    lathe: 'ERR_EXTERNAL_DATA',
    runtime: 'reads',
    difference: 'nul',
  },
  {
    name: 'a name that is not UTF-8',
    build: (files) => {
      const model = Buffer.from(modelAt('w.data?'));
      model[model.indexOf('w.data?') + 6] = 0xff;
      const path = write(files, model, {});
      const name = Buffer.concat([Buffer.from(files.path('m/w.data')), Buffer.of(0xff)]);
      writeFileSync(name, numbers());
      return path;
    },
    lathe: 'ERR_EXTERNAL_DATA',
    runtime: 'reads',
    difference: 'notUtf8',
  },
];

export const inside: CaseGroup = { heading: 'Files inside', cases: insideCases };
export const nothing: CaseGroup = { heading: 'No such file, or no file', cases: nothingCases };
