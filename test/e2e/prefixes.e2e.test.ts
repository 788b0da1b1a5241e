import { mkdtempSync, realpathSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FormatError } from '../../src/errors.ts';
import { inspectModel } from '../../src/report/inspect.ts';
import { type Edit, tinyModel, tinyWeights } from '../cli/tiny-model.ts';

let root = '';
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'lathe-e2e-')));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Keeps the weights in the `.onnx`, small enough to be inline for one tensor and a payload for the other. */
const embed: Edit = ({ graph }) => {
  for (const tensor of graph.initializer ?? []) {
    tensor.dataLocation = 0;
    tensor.externalData = [];
    tensor.dims = tensor.name === 'table' ? [24, 2] : [2, 24];
    tensor.rawData = new Uint8Array(tinyWeights().buffer, 0, 192);
  }
};

describe.each([
  ['external', undefined],
  ['embedded', embed],
])('a model with %s weights', (_, edit) => {
  it('cut off anywhere is a FormatError of one line', () => {
    const bytes = tinyModel(edit);
    const path = join(root, 'model.onnx');
    writeFileSync(path, bytes);
    writeFileSync(`${path}.data`, new Uint8Array(tinyWeights().buffer));
    expect(inspectModel(path).nodes).toBe(2);
    const accepted: number[] = [];
    for (let length = bytes.length - 1; length >= 0; length--) {
      truncateSync(path, length);
      try {
        inspectModel(path);
        accepted.push(length);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        expect((error as FormatError).message).not.toContain('\n');
      }
    }
    expect(accepted).toEqual([]);
  });
});
