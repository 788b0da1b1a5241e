import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nativeStatus } from '../../src/native.ts';
import { cli, cliHere } from '../support/cli.ts';
import { type Edit, setExternal, tinyModel, tinyWeights, writeTiny } from './tiny-model.ts';
import { snapshot } from './tree.ts';

let root = '';
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-cli-')));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** An older output, to be left alone by every failing run even with --force. */
function writeOlder(): string {
  const older = join(root, 'older');
  writeTiny(older);
  writeFileSync(join(older, 'tokenizer.json'), '{}');
  return older;
}

interface Case {
  readonly name: string;
  /** Prepares `input` (which exists) and may return what to pass as the model instead of it. */
  readonly prepare: (input: string) => string | undefined;
  readonly exit: number;
  /** First line on stderr after `onnx-lathe: `. */
  readonly says: RegExp;
  readonly hint?: RegExp;
  readonly args?: readonly string[];
}

/** One line that says what is wrong, perhaps one more with the fix, and no byte a terminal would act on. */
function expectShortReport(stderr: string, { says, hint }: Pick<Case, 'says' | 'hint'>): void {
  const lines = stderr.split('\n');
  expect(lines.pop()).toBe('');
  expect(lines.length).toBeLessThanOrEqual(2);
  expect(lines[0]).toMatch(/^onnx-lathe: ./);
  expect(lines[0]?.slice('onnx-lathe: '.length)).toMatch(says);
  if (lines.length === 2) expect(lines[1]).toMatch(/^ {2}\S/);
  if (hint !== undefined) expect(lines[1]).toMatch(hint);
  expect(stderr).not.toMatch(/[^\P{C}\n]/u);
  expect(stderr.length).toBeLessThan(9000);
}

async function check(test: Case): Promise<void> {
  const older = writeOlder();
  const input = join(root, 'input');
  mkdirSync(input);
  const model = test.prepare(input) ?? input;
  const before = snapshot(root);
  const result = await cliHere(['shrink', model, '-o', older, '--force', ...(test.args ?? [])]);
  expectShortReport(result.stderr, test);
  expect([result.status, result.stdout]).toEqual([test.exit, '']);
  expect(snapshot(root)).toEqual(before);
}

function tiny(edit: Edit): (input: string) => undefined {
  return (input) => {
    writeTiny(input, edit);
    return undefined;
  };
}

/** Spoils one key of the table's reference to its bytes. */
function reference(key: string, to: string): (input: string) => undefined {
  return tiny(({ graph }) => setExternal(graph.initializer?.[0], key, to));
}

function fileOf(content: string | Uint8Array): (input: string) => undefined {
  return (input) => writeFileSync(join(input, 'model.onnx'), content) as undefined;
}

function truncated(byteLength: number): (input: string) => undefined {
  return (input) => truncateSync(writeTiny(input), byteLength) as undefined;
}

function weightsWith(index: number, number: number): (input: string) => undefined {
  return (input) => {
    const weights = tinyWeights();
    weights[index] = number;
    writeTiny(input, undefined, weights);
    return undefined;
  };
}

const NOT_A_MODEL = /^\S+\/model\.onnx: /;
const modelBytes = tinyModel();

const files: Case[] = [
  {
    name: 'no such file',
    prepare: (input) => join(input, 'nowhere.onnx'),
    exit: 3,
    says: /nowhere\.onnx does not exist$/,
    hint: /^ {2}give a \.onnx file or a directory/,
  },
  {
    name: 'a directory without a model',
    prepare: (input) => writeFileSync(join(input, 'config.json'), '{}') as undefined,
    exit: 2,
    says: /input holds no \.onnx file$/,
  },
  {
    name: 'a directory with several models',
    prepare: (input) => {
      for (const name of ['encoder.onnx', 'decoder.onnx']) {
        writeFileSync(join(input, name), modelBytes);
      }
      return undefined;
    },
    exit: 2,
    says: /holds 2 \.onnx files: decoder\.onnx, encoder\.onnx$/,
    hint: /--component decoder/,
  },
  {
    name: 'an unknown component',
    prepare: tiny(() => undefined),
    args: ['--component', 'encoder'],
    exit: 2,
    says: /has no component "encoder"$/,
    hint: /components: model/,
  },
  { name: 'an empty file', prepare: fileOf(''), exit: 3, says: /: the file is empty$/ },
  { name: 'the first byte of a model', prepare: truncated(1), exit: 3, says: NOT_A_MODEL },
  { name: 'half a model', prepare: truncated(modelBytes.length / 2), exit: 3, says: NOT_A_MODEL },
  {
    name: 'a model without its last byte',
    prepare: truncated(modelBytes.length - 1),
    exit: 3,
    says: NOT_A_MODEL,
  },
  {
    name: 'random bytes',
    prepare: fileOf(Uint8Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 251)),
    exit: 3,
    says: NOT_A_MODEL,
  },
  {
    name: 'a text file',
    prepare: fileOf('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n'),
    exit: 3,
    says: NOT_A_MODEL,
  },
  {
    name: 'a web page',
    prepare: fileOf('<!DOCTYPE html><html><body>404 Not Found</body></html>\n'),
    exit: 3,
    says: NOT_A_MODEL,
  },
  {
    name: 'a FIFO',
    prepare: (input) => {
      execFileSync('mkfifo', [join(input, 'model.onnx')]);
      return undefined;
    },
    exit: 3,
    says: /is not a regular file$/,
  },
];

const data: Case[] = [
  {
    name: 'no data file',
    prepare: (input) => rmSync(`${writeTiny(input)}.data`) as undefined,
    exit: 3,
    says: /tensor "table": external data file "model\.onnx\.data" is not in /,
  },
  {
    name: 'data cut short',
    prepare: (input) => truncateSync(`${writeTiny(input)}.data`, 20_000) as undefined,
    exit: 3,
    says: /model\.onnx\.data: tensor "weight" ends at 24576, file has 20000 bytes$/,
  },
  {
    name: 'data in a directory of that name',
    prepare: (input) => {
      const path = `${writeTiny(input)}.data`;
      rmSync(path);
      mkdirSync(path);
      return undefined;
    },
    exit: 3,
    says: /"model\.onnx\.data" is a directory, not a regular file$/,
  },
  {
    name: 'data in a FIFO',
    prepare: (input) => {
      const path = `${writeTiny(input)}.data`;
      rmSync(path);
      execFileSync('mkfifo', [path]);
      return undefined;
    },
    exit: 3,
    says: /"model\.onnx\.data" is a FIFO, not a regular file$/,
  },
  {
    name: 'a location above the model',
    prepare: reference('location', '../older/model.onnx.data'),
    exit: 3,
    says: /"\.\.\/older\/model\.onnx\.data" leads outside the model directory$/,
  },
  {
    name: 'an absolute location',
    prepare: reference('location', '/etc/passwd'),
    exit: 3,
    says: /"\/etc\/passwd" is an absolute path$/,
  },
  {
    name: 'a location with backslashes',
    prepare: reference('location', '..\\older\\model.onnx.data'),
    exit: 3,
    says: /contains a backslash$/,
  },
  {
    name: 'a link out of the model directory',
    prepare: (input) => {
      const path = `${writeTiny(input)}.data`;
      rmSync(path);
      symlinkSync(join(root, 'older', 'model.onnx.data'), path);
      return undefined;
    },
    exit: 3,
    says: /is a link out of the model directory$/,
    hint: /copy the file/,
  },
  {
    name: 'a location of a megabyte',
    prepare: reference('location', 'x'.repeat(1e6)),
    exit: 3,
    says: /is too long for a path$/,
  },
  {
    name: 'a length that the shape does not ask for',
    prepare: reference('length', '4096'),
    exit: 3,
    says: /tensor "table": shape \[96, 32\] needs 12288 bytes, the file holds 4096$/,
  },
  {
    name: 'a negative length',
    prepare: reference('length', '-1'),
    exit: 3,
    says: /tensor "table"/,
  },
  {
    name: 'a length that is no number',
    prepare: reference('length', '12e3'),
    exit: 3,
    says: /tensor "table"/,
  },
  {
    name: 'an offset beyond the file',
    prepare: reference('offset', '9007199254740000'),
    exit: 3,
    says: /tensor "table" ends at \d+, file has 24576 bytes$/,
  },
  {
    name: 'an offset beyond 64 bits',
    prepare: reference('offset', '99999999999999999999'),
    exit: 3,
    says: /tensor "table"/,
  },
];

const tensors: Case[] = [
  {
    name: 'dimensions whose product overflows',
    prepare: tiny(({ graph }) => {
      for (const tensor of graph.initializer ?? []) tensor.dims = [2 ** 31, 2 ** 31, 2 ** 31];
    }),
    exit: 3,
    says: /tensor "table"/,
  },
  {
    name: 'a negative dimension',
    prepare: tiny(({ graph }) => {
      for (const tensor of graph.initializer ?? []) tensor.dims = [-96, -32];
    }),
    exit: 3,
    says: /a dimension of tensor "table" is -96/,
  },
  {
    name: 'a type of no width and no length',
    prepare: tiny(({ graph }) => {
      const table = graph.initializer?.[0];
      if (table) {
        table.dataType = 99;
        table.externalData = table.externalData?.slice(0, 2) ?? [];
      }
    }),
    exit: 3,
    says: /tensor "table": external data has no length and type 99 has no fixed width$/,
  },
  {
    name: 'NaN in the table',
    prepare: weightsWith(40, Number.NaN),
    exit: 4,
    says: /"table.*" has a NaN, an infinity or a number beyond 2\^127 at channel 1, element 8$/,
    hint: /repair the export/,
  },
  {
    name: 'an infinity in the head',
    prepare: weightsWith(96 * 32 + 5 * 96 + 7, Number.NEGATIVE_INFINITY),
    exit: 4,
    says: /"weight.*" has a NaN, an infinity or a number beyond 2\^127 at channel 7, element 5$/,
  },
];

const HOSTILE = '\u001b]0;owned\u0007\u001b[31m\r\n\u009b2J\u202e';

const graphs: Case[] = [
  {
    name: 'a node that reads what nothing defines',
    prepare: tiny(({ graph }) => graph.node?.[1]?.input?.splice(1, 1, 'absent')),
    exit: 3,
    says: /node "\/head" reads "absent", which nothing defines$/,
  },
  {
    name: 'a value defined twice',
    prepare: tiny(({ graph }) => graph.node?.[1]?.output?.splice(0, 1, 'hidden')),
    exit: 3,
    says: /defines the value "hidden" twice$/,
  },
  {
    name: 'terminal escapes in a tensor name',
    prepare: tiny(({ graph }) => {
      const table = graph.initializer?.[0];
      if (table) table.name = HOSTILE;
      setExternal(table, 'length', '1');
    }),
    exit: 3,
    says: /\\u001b\]0;owned\\u0007\\u001b\[31m/,
  },
  {
    name: 'terminal escapes in a node name',
    prepare: tiny(({ graph }) => {
      const node = graph.node?.[1];
      if (node) Object.assign(node, { name: HOSTILE, input: ['hidden', 'absent'] });
    }),
    exit: 3,
    says: /\\u001b\]0;owned\\u0007\\u001b\[31m\\u000d\\u000a\\u009b2J\\u202e/,
  },
  {
    name: 'a name of a megabyte',
    prepare: tiny(({ graph }) => {
      const node = graph.node?.[1];
      if (node) Object.assign(node, { name: 'n'.repeat(1e6), input: ['hidden', 'absent'] });
    }),
    exit: 3,
    says: /n…$|reads "absent", which nothing defines$/,
  },
];

describe.each([
  ['files', files],
  ['external data', data],
  ['tensors', tensors],
  ['graphs', graphs],
])('bad %s', (_, cases) => {
  it.each(cases)('$name', check);
});

describe('bad arguments', () => {
  const good = tiny(() => undefined);
  it.each<Case>([
    {
      name: 'an unknown recipe',
      prepare: good,
      args: ['--recipe', 'q4-smal'],
      exit: 2,
      says: /^there is no recipe "q4-smal"$/,
      hint: /did you mean "q4-small"\?/,
    },
    {
      name: 'an unknown option',
      prepare: good,
      args: ['--memroy', '1GB'],
      exit: 2,
      says: /^unknown option '--memroy'$/,
      hint: /did you mean --memory\?/,
    },
    {
      name: 'a size that is none',
      prepare: good,
      args: ['--memory', '64Q'],
      exit: 2,
      says: /'--memory <size>' argument '64Q' is invalid$/,
      hint: /64MiB or 2GB/,
    },
    {
      name: 'no threads',
      prepare: good,
      args: ['--threads', '0'],
      exit: 2,
      says: /'--threads <count>' argument '0' is invalid$/,
      hint: /a whole number from 1/,
    },
    {
      name: 'an unknown way to read',
      prepare: good,
      args: ['--io', 'mmpa'],
      exit: 2,
      says: /'--io <mode>' argument 'mmpa' is invalid$/,
      hint: /auto, mmap, pread/,
    },
    {
      name: 'a budget too small for anything',
      prepare: good,
      args: ['--memory', '1k'],
      exit: 5,
      says: /needs [\d.]+ KiB of memory with \d+ threads, the budget is 1\.00 KiB$/,
      hint: /raise --memory/,
    },
    {
      name: 'a component of a file',
      prepare: (input) => writeTiny(input),
      args: ['--component', 'decoder'],
      exit: 2,
      says: /^--component decoder has no meaning for a file$/,
    },
  ])('$name', check);

  it.each([
    [['shrnk', 'x'], /^unknown command 'shrnk'$/, /did you mean shrink\?/],
    [['apply', '.', '-o', 'out'], /^no surgery was given$/, /--surgery NAME/],
    [
      ['apply', '.', '-o', 'out', '--surgery', 'tie-word-embedding'],
      /^there is no surgery "tie-word-embedding"$/,
      /did you mean "tie-word-embeddings"\?/,
    ],
    [
      ['apply', '.', '-o', 'out', '--surgery', 'quantize-matmul:bit=4'],
      /^surgery quantize-matmul has no option "bit"$/,
      /did you mean "bits"\?/,
    ],
    [
      ['apply', '.', '-o', 'out', '--surgery', 'quantize-matmul:bits=5'],
      /^option bits: "5" is not one of 2, 4, 8$/,
      undefined,
    ],
    [['shrink', '.'], /^no output was given$/, /-o DIR/],
    [['surgeries', 'tie'], /^there is no surgery "tie"$/, /known: |did you mean/],
    [['evaluate', '.'], /^required option '--tokens <file>' not specified$/, undefined],
    [['shrink'], /^missing required argument 'model'$/, undefined],
    [['inspect', 'a', 'b'], /^too many arguments for 'inspect'/, undefined],
  ])('%j', (args, says, hint) => {
    writeTiny(root);
    const before = snapshot(root);
    const { status, stdout, stderr } = cli(args, { cwd: root });
    expectShortReport(stderr, { says, ...(hint === undefined ? {} : { hint }) });
    expect([status, stdout]).toEqual([2, '']);
    expect(snapshot(root)).toEqual(before);
  });
});

describe('outputs that may not be replaced', () => {
  it('refuses the input itself, in every spelling and with --force', async () => {
    writeTiny(join(root, 'input'));
    symlinkSync('input', join(root, 'link'));
    const before = snapshot(root);
    for (const output of [
      'input',
      './input/',
      'link',
      'input/model.onnx',
      'link/model.onnx',
      '.',
    ]) {
      const result = await cliHere(['shrink', 'input', '-o', output, '--force'], { cwd: root });
      expectShortReport(result.stderr, { says: /holds the input|is the input|working directory/ });
      expect([output, result.status]).toEqual([output, 2]);
    }
    expect(snapshot(root)).toEqual(before);
  });

  it('refuses an existing output without --force, and replaces it whole with it', async () => {
    const input = join(root, 'input');
    writeTiny(input);
    const older = writeOlder();
    const before = snapshot(root);
    const refused = await cliHere(['shrink', input, '-o', older]);
    expectShortReport(refused.stderr, { says: /older exists and has 3 entries$/, hint: /--force/ });
    expect(refused.status).toBe(2);
    expect(snapshot(root)).toEqual(before);

    expect((await cliHere(['shrink', input, '-o', older, '--force'])).status).toBe(0);
    const after = snapshot(root);
    // Only the addon swaps directories in one step; without it the data file may not take the old one's name.
    const data = nativeStatus().loaded ? 'older/model.onnx.data' : 'older/model.onnx.1.data';
    expect(Object.keys(after)).toEqual([
      'input',
      'input/model.onnx',
      'input/model.onnx.data',
      'older',
      ...['older/model.onnx', data].sort(),
    ]);
    expect(after['older/model.onnx']).not.toBe(before['older/model.onnx']);
    expect(after['input/model.onnx.data']).toBe(before['input/model.onnx.data']);
  });

  it('refuses to replace a directory that is no model, even with --force', async () => {
    writeTiny(join(root, 'input'));
    mkdirSync(join(root, 'photos'));
    writeFileSync(join(root, 'photos', 'cat.jpg'), 'cat');
    const before = snapshot(root);
    const result = await cliHere(['shrink', 'input', '-o', 'photos', '--force'], { cwd: root });
    expectShortReport(result.stderr, {
      says: /photos holds no model; --force does not replace it$/,
    });
    expect(result.status).toBe(2);
    expect(snapshot(root)).toEqual(before);
  });

  it('refuses a file in the way', async () => {
    writeTiny(join(root, 'input'));
    writeFileSync(join(root, 'notes.txt'), 'mine');
    for (const output of ['notes.txt', 'notes.txt/below']) {
      const result = await cliHere(['shrink', 'input', '-o', output, '--force'], { cwd: root });
      expectShortReport(result.stderr, { says: /is a file$|is not a directory$/ });
      expect(result.status).toBe(2);
    }
    expect(readFileSync(join(root, 'notes.txt'), 'utf8')).toBe('mine');
  });
});

it('leaves a tensor of an unknown type alone when nothing asks for its values', async () => {
  const input = join(root, 'input');
  writeTiny(input, ({ graph }) => {
    graph.initializer?.push({
      name: 'future',
      dataType: 99,
      dims: [3],
      rawData: Uint8Array.of(1, 2, 3),
    });
    graph.output?.push({ name: 'future', type: { tensorType: { elemType: 99 } } });
  });
  const result = await cliHere(['shrink', input, '-o', join(root, 'out')]);
  expect([result.status, result.stderr]).toEqual([0, expect.stringContaining('quantize-matmul')]);
});

it('shows hostile names on success with their escapes spelled out', async () => {
  const input = join(root, 'input');
  writeTiny(input, ({ graph }) => {
    const [embed, head] = graph.node ?? [];
    if (embed) embed.name = HOSTILE;
    if (head) head.name = `${HOSTILE} head`;
    for (const tensor of graph.initializer ?? []) tensor.name = `${HOSTILE}${tensor.name}`;
    embed?.input?.splice(0, 1, `${HOSTILE}table`);
    head?.input?.splice(1, 1, `${HOSTILE}weight`);
  });
  for (const args of [
    ['inspect', input],
    ['inspect', input, '--json'],
    ['shrink', input, '-n', '-v'],
    ['shrink', input, '-n', '--json'],
    ['shrink', input, '-v', '-o', join(root, 'out')],
  ]) {
    const { status, stdout, stderr } = await cliHere(args);
    expect(status).toBe(0);
    expect(stdout + stderr).toMatch(/u001b\]0;owned/);
    expect(stdout + stderr).not.toMatch(/[^\P{C}\n]/u);
  }
});

it('reports errors as JSON on stderr when asked to', async () => {
  const cases = [
    [['inspect', join(root, 'nowhere'), '--json'], 3, 'ERR_NOT_FOUND'],
    [['shrink', root, '-n', '--json'], 2, 'ERR_NO_MODEL'],
    [['shrink', root, '-n', '--json', '--threads', 'x'], 2, 'ERR_OPTION'],
    [['shrnk', '--json'], 2, 'ERR_UNKNOWN_NAME'],
  ] as const;
  for (const [args, exit, code] of cases) {
    const { status, stdout, stderr } = await cliHere(args);
    expect([status, stdout]).toEqual([exit, '']);
    const report = JSON.parse(stderr) as unknown;
    expect(report).toEqual({
      error: { code, message: expect.any(String), hint: expect.any(String) },
    });
    expect(stderr.trimEnd()).not.toContain('\n');
  }
});
