/** Cases about links, Hugging Face caches and what lies, or is meant to lie, outside the model's directory. */

import { linkSync, mkdirSync } from 'node:fs';
import type { Workspace } from '../workspace.ts';
import type { Case, CaseGroup } from './case.ts';
import { at, link, modelAt, withFiles } from './files.ts';
import { numbers, placeModel, reference, write } from './models.ts';

/** A Hugging Face cache: a snapshot of links into one directory of blobs. */
function cache(
  files: Workspace,
  model: Uint8Array = modelAt('model.onnx.data'),
  snapshot = 'snapshots/rev',
): string {
  const up = snapshot.replace(/[^/]+/g, '..');
  files.write('blobs/0a1b', model);
  files.write('blobs/2c3d', numbers());
  link(files, `${snapshot}/model.onnx`, `${up}/blobs/0a1b`);
  link(files, `${snapshot}/model.onnx.data`, `${up}/blobs/2c3d`);
  return files.path(snapshot, 'model.onnx');
}

const both = { lathe: 'reads', runtime: 'reads' } as const;
const outsider = { lathe: 'ERR_PATH_ESCAPE', runtime: 'refuses' } as const;
const missing = { lathe: 'ERR_NOT_FOUND', runtime: 'refuses' } as const;
const windows = {
  lathe: 'ERR_PATH_ESCAPE',
  runtime: 'reads',
  difference: 'windowsNames',
} as const;

const linkCases: Case[] = [
  {
    name: 'a hard link',
    build: withFiles('w.data', (files) => {
      linkSync(files.write('elsewhere', numbers()), files.path('m/w.data'));
    }),
    ...both,
  },
  {
    name: 'a link to a file beside it',
    build: withFiles('w.data', (files) => {
      files.write('m/real', numbers());
      link(files, 'm/w.data', 'real');
    }),
    ...both,
  },
  {
    name: 'a directory link that stays inside',
    build: withFiles('short/w.data', (files) => {
      files.write('m/long/er/w.data', numbers());
      link(files, 'm/short', 'long/er');
    }),
    ...both,
  },
  {
    name: '`..` behind a directory link, followed as the system does',
    build: withFiles('short/../w.data', (files) => {
      files.write('m/long/w.data', numbers());
      files.write('m/w.data', numbers(9000));
      mkdirSync(files.path('m/long/er'));
      link(files, 'm/short', 'long/er');
    }),
    ...both,
  },
  {
    name: 'a model directory that is a link',
    build: (files) => {
      at('w.data')(files);
      link(files, 'alias', 'm');
      return files.path('alias/model.onnx');
    },
    ...both,
  },
  {
    name: 'a hard-linked `.onnx`',
    build: (files) => {
      const path = at('w.data')(files);
      linkSync(path, files.path('copy.onnx'));
      return path;
    },
    ...both,
  },
  {
    name: 'a hard link that an If uses',
    build: (files) => {
      const path = write(files, placeModel('both branches of an If', reference()), {});
      linkSync(files.write('elsewhere', numbers()), files.path('m/w.data'));
      return path;
    },
    lathe: 'reads',
    runtime: 'refuses',
    difference: 'linksInBranches',
  },
];

const cacheCases: Case[] = [
  { name: 'model and data linked into `blobs/`', build: (files) => cache(files), ...both },
  {
    name: 'the same, the model in a directory of the snapshot',
    build: (files) => cache(files, undefined, 'snapshots/rev/onnx'),
    ...both,
  },
  {
    name: 'a linked model, its data a plain file',
    build: (files) => {
      files.write('blobs/0a1b', modelAt('model.onnx.data'));
      files.write('snapshots/rev/model.onnx.data', numbers());
      link(files, 'snapshots/rev/model.onnx', '../../blobs/0a1b');
      return files.path('snapshots/rev/model.onnx');
    },
    ...both,
  },
  {
    name: 'linked data of a model that is a plain file',
    build: (files) => {
      files.write('blobs/2c3d', numbers());
      link(files, 'snapshots/rev/w.data', '../../blobs/2c3d');
      return files.write('snapshots/rev/model.onnx', modelAt('w.data'));
    },
    ...outsider,
  },
  {
    name: 'data linked to a third directory',
    build: (files) => {
      files.write('blobs/0a1b', modelAt('w.data'));
      files.write('secret/2c3d', numbers());
      link(files, 'snapshots/rev/model.onnx', '../../blobs/0a1b');
      link(files, 'snapshots/rev/w.data', '../../secret/2c3d');
      return files.path('snapshots/rev/model.onnx');
    },
    ...outsider,
  },
  {
    name: 'data beside the blob alone',
    build: (files) => {
      files.write('blobs/0a1b', modelAt('w.data'));
      files.write('blobs/w.data', numbers());
      link(files, 'snapshots/rev/model.onnx', '../../blobs/0a1b');
      return files.path('snapshots/rev/model.onnx');
    },
    ...missing,
  },
  {
    name: 'such a cache, its data used by an If',
    build: (files) =>
      cache(files, placeModel('both branches of an If', reference('model.onnx.data'))),
    lathe: 'reads',
    runtime: 'refuses',
    difference: 'linksInBranches',
  },
];

const outsideCases: Case[] = [
  { name: '`../w.data`', build: at('../w.data'), ...outsider },
  {
    name: '`sub/../../w.data`',
    build: withFiles('sub/../../w.data', (files) => {
      files.write('w.data', numbers());
      mkdirSync(files.path('m/sub'));
    }),
    ...outsider,
  },
  {
    name: '`../m/w.data`',
    build: at('../m/w.data'),
    lathe: 'ERR_PATH_ESCAPE',
    runtime: 'reads',
    difference: 'outAndBack',
  },
  {
    name: 'an absolute path, even into the directory',
    build: (files) => write(files, modelAt(files.write('m/w.data', numbers())), {}),
    ...outsider,
  },
  {
    name: 'a link out',
    build: withFiles('w.data', (files) => {
      files.write('elsewhere', numbers());
      link(files, 'm/w.data', '../elsewhere');
    }),
    ...outsider,
  },
  {
    name: 'a directory link out, to a name that begins alike',
    build: withFiles('sub/w.data', (files) => {
      files.write('m-other/w.data', numbers());
      link(files, 'm/sub', '../m-other');
    }),
    ...outsider,
  },
  {
    name: 'a link to `/dev/zero`',
    build: withFiles('w.data', (files) => link(files, 'm/w.data', '/dev/zero')),
    ...outsider,
  },
  {
    name: 'a link to itself',
    build: withFiles('w.data', (files) => link(files, 'm/w.data', 'w.data')),
    ...outsider,
  },
  {
    name: 'the mark of an address in memory, `*/_ORT_MEM_ADDR_/*`',
    build: at('*/_ORT_MEM_ADDR_/*'),
    ...outsider,
  },
  { name: 'a backslash in a name', build: at('a\\w.data'), ...windows },
  { name: 'a directory called `C:`', build: at('C:/w.data'), ...windows },
  { name: '`CON`', build: at('CON'), ...windows },
  { name: '`sub/nul.data`', build: at('sub/nul.data'), ...windows },
];

export const links: CaseGroup = { heading: 'Links', cases: linkCases };
export const caches: CaseGroup = { heading: 'Hugging Face caches', cases: cacheCases };
export const outside: CaseGroup = { heading: 'Outside, or meant to be', cases: outsideCases };
