/**
 * Writes src/proto/onnx.js and src/proto/onnx.d.ts from src/proto/onnx.proto.
 *
 * The code is generated without comments and without the functions this project does not call (verify, convert,
 * delimited, type URLs). The declarations need the comments of a second run, and lose them here: they restate names.
 * `--check` writes nothing and exits 1 when the committed files are not what the schema gives.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const protoDirectory = fileURLToPath(new URL('../src/proto/', import.meta.url));
const cliDirectory = dirname(createRequire(import.meta.url).resolve('protobufjs-cli/package.json'));
const notice = '// Generated from onnx.proto by tools/generate-proto.mjs. Do not edit.\n';

const commonOptions = [
  '--target=static-module',
  '--wrap=esm',
  '--dependency=protobufjs/minimal.js',
  // A root of its own: other packages in the process may have generated an `onnx` namespace too.
  '--root=onnx-lathe',
  '--no-verify',
  '--no-convert',
  '--no-delimited',
  '--no-typeurl',
  '--no-service',
];

/**
 * Runs pbjs and returns the text of the file `name` that it writes into `directory`.
 * @param {string} directory
 * @param {string} name
 * @param {string} option
 */
function generate(directory, name, option) {
  const pbjs = join(cliDirectory, 'bin', 'pbjs');
  const out = join(directory, 'onnx.js');
  const schema = join(protoDirectory, 'onnx.proto');
  execFileSync(process.execPath, [pbjs, ...commonOptions, option, `--out=${out}`, schema]);
  return readFileSync(join(directory, name), 'utf8');
}

/** @param {string} generated */
function declarations(generated) {
  return generated.replace(/^ *\/\*\*[\s\S]*?\*\/\n/gm, '').replace(/\n\n+/g, '\n');
}

const scratch = mkdtempSync(join(tmpdir(), 'onnx-lathe-proto-'));
try {
  /** @type {Record<string, string>} */
  const outputs = {
    // The types are in onnx.d.ts; checking the code itself would only find what the generator leaves out.
    'onnx.js': `${notice}// @ts-nocheck\n${generate(scratch, 'onnx.js', '--no-comments')}`,
    'onnx.d.ts': notice + declarations(generate(scratch, 'onnx.d.ts', '--dts')),
  };
  for (const [name, text] of Object.entries(outputs)) {
    const path = join(protoDirectory, name);
    if (!process.argv.includes('--check')) {
      writeFileSync(path, text);
    } else if (readFileSync(path, 'utf8') !== text) {
      process.stderr.write(`src/proto/${name} is not up to date: npm run generate:proto\n`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
